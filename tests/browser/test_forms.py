"""A form acts once, however often it is sent, and overwrites nothing that others saved."""

from typing import Any

from playwright.sync_api import expect

from tests.browser.panel import TENANTS, Panel


def make_tenant(panel: Panel, name: str) -> str:
    """Create a tenant by the panel, and return the address of its page."""
    page = panel.page
    page.goto(f"{TENANTS}add/")
    page.locator("[name=name]").fill(name)
    page.locator("[name=reason]").fill("a trial")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="Adjust bill").first).to_be_visible()
    return page.url


def test_a_double_click_books_once_and_going_back_opens_no_new_form(panel: Panel, take_screenshot: Any) -> None:
    page = panel.page
    make_tenant(panel, "billed")
    page.get_by_role("link", name="Adjust bill").first.click()
    page.locator("[name=usd]").fill("2.5")
    page.locator("[name=reason]").fill("by phone")
    page.get_by_role("button", name="Adjust bill").dblclick()
    expect(page.get_by_role("link", name="Adjust bill").first).to_be_visible()
    page.go_back()
    expect(page.get_by_text("This form was sent before").first).to_be_visible()
    take_screenshot(page, "sent-twice")
    page.goto("/admin/tenants/ledgerentry/?q=billed")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)


def test_a_form_that_was_opened_before_a_change_is_refused(panel: Panel, take_screenshot: Any) -> None:
    page = panel.page
    address = make_tenant(panel, "contested")
    other = page.context.new_page()
    other.goto(address)
    other.locator("[name=per_day]").fill("5")
    other.locator("[name=reason]").fill("asked by mail")
    page.locator("[name=per_day]").fill("7")
    page.locator("[name=reason]").fill("asked by phone")
    other.get_by_role("button", name="Save", exact=True).click()
    expect(other.get_by_text("was changed successfully")).to_be_visible()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Per day: yours is 7, stored is 5.")).to_be_visible()
    take_screenshot(page, "form-refused")
    expect(page.locator("[name=per_day]")).to_have_value("7")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    page.goto(address)
    expect(page.locator("[name=per_day]")).to_have_value("7")
