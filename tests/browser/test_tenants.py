"""An operator creates tenants, keys and webhook endpoints."""

import time
from typing import Any

import httpx
from playwright.sync_api import expect

from tests.browser.panel import TENANTS, Panel


def test_a_key_is_created_used_and_revoked(panel: Panel, take_screenshot: Any) -> None:
    page = panel.page
    page.goto(TENANTS)
    take_screenshot(page, "tenants")
    page.locator("#result_list").get_by_role("link", name="demo").click()
    take_screenshot(page, "tenant")
    page.get_by_role("link", name="Create key").first.click()
    page.locator("[name=label]").fill("the shop")
    page.locator("[name=reason]").fill("a new shop")
    take_screenshot(page, "create-key")
    page.get_by_role("button", name="Create key").click()
    take_screenshot(page, "new-key")
    key = page.locator("#one-time-secret").inner_text()
    page.get_by_role("link", name="I have copied it").click()
    row = page.locator("#keys tr", has_text="the shop")
    expect(row).to_contain_text("never")
    assert panel.create_generation(key, seed=3).status_code == 202
    row.get_by_role("link", name="Revoke").click()
    page.locator("[name=reason]").fill("it leaked")
    page.get_by_role("button", name="Revoke key").click()
    expect(page.locator("#keys tr", has_text="the shop").get_by_role("link", name="Revoke")).to_have_count(0)
    assert key not in page.content()
    assert panel.create_generation(key, seed=4).status_code == 401
    # Creates are refused at once; reads use the process's cache for up to 3 s.
    ends = time.monotonic() + 4
    while httpx.get(f"{panel.service.url}/v1/limits", headers={"Authorization": f"Bearer {key}"}).status_code != 401:
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_a_limit_is_reached_and_seen(panel: Panel, take_screenshot: Any) -> None:
    page = panel.page
    page.goto(f"{TENANTS}add/")
    page.locator("[name=name]").fill("small team")
    page.locator("[name=per_day]").fill("1")
    page.locator("[name=reason]").fill("a trial")
    page.get_by_role("button", name="Save", exact=True).click()
    panel.run_action("Create key", "for the trial")
    key = page.locator("#one-time-secret").inner_text()
    page.get_by_role("link", name="I have copied it").click()
    assert panel.create_generation(key).status_code == 202
    refused = panel.create_generation(key)
    assert (refused.status_code, refused.json()["code"]) == (429, "limit_reached")
    page.reload()
    bar = page.get_by_role("progressbar", name="Per day")
    expect(bar).to_have_attribute("aria-valuetext", "1 / 1")
    take_screenshot(page, "limit-reached")
    page.goto(TENANTS)
    expect(page.locator("#result_list tr", has_text="small team")).to_contain_text("1 / 1")


def test_a_webhook_endpoint_is_created_with_a_long_url(panel: Panel, take_screenshot: Any) -> None:
    page = panel.page
    url = f"https://example.com/hooks/{'long-' * 30}end"
    page.goto("/admin/generations/webhookendpoint/")
    page.get_by_role("link", name="Add endpoint").first.click()
    page.locator("[name=tenant]").select_option(label="demo")
    page.locator("[name=url]").fill(url)
    page.locator("[name=reason]").fill("a new receiver")
    take_screenshot(page, "create-webhook-endpoint")
    page.get_by_role("button", name="Add webhook endpoint").click()
    expect(page.locator("#one-time-secret")).to_contain_text("whsec_")
    page.get_by_role("link", name="I have copied it").click()
    row = page.locator("#result_list tbody tr", has_text="https://example.com/…")
    expect(row).to_be_visible()
    take_screenshot(page, "webhook-endpoints")
    row.get_by_role("link").first.click()
    expect(page.locator("div.readonly", has_text=url)).to_have_text(url)
    take_screenshot(page, "webhook-endpoint")
    page.get_by_role("link", name="Disable").first.click()
    page.locator("[name=reason]").fill("the receiver does not exist")
    page.get_by_role("button", name="Disable endpoint").click()
    expect(page.get_by_text("Disable endpoint: done for")).to_be_visible()
