"""Finance reads the bills of all tenants and a tenant's statement, and takes both away as CSV."""

import csv
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE
from tests.browser.panel import LEDGER, Panel


def test_a_bill_is_two_clicks_from_the_dashboard(panel: Panel, video: dict[str, Any], take_screenshot: Any) -> None:
    page = panel.page
    page.goto("/admin/")
    page.get_by_role("link", name="Billing").first.click()
    row = page.locator("#billing tbody tr", has_text="demo")
    expect(row).to_be_visible()
    take_screenshot(page, "billing")
    total = row.locator("strong").inner_text()
    row.get_by_role("link", name="demo").click()
    expect(page.locator("#totals")).to_contain_text(total)
    take_screenshot(page, "statement")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    rows = list(csv.DictReader(download.value.path().read_text().splitlines()))
    assert f"{sum(float(row['usd']) for row in rows):.2f}" == f"{float(total):.2f}"
    expect(page.get_by_role("button", name="Print")).to_be_visible()


def test_the_ledger_is_taken_away_from_a_day_on(panel: Panel, video: dict[str, Any]) -> None:
    page = panel.page
    page.goto(f"{LEDGER}?at_from=2026-01-01")
    expect(page.locator("#result_list tbody tr").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").first.click()
    assert video["id"] in download.value.path().read_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone_and_in_the_dark(
    open_window: Any, logged_in: Any, video: dict[str, Any], scheme: str, take_screenshot: Any
) -> None:
    panel = open_window(storage_state=logged_in, color_scheme=scheme, viewport=PHONE)
    panel.page.goto(f"{LEDGER}billing/")
    assert panel.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    take_screenshot(panel.page, f"billing-phone-{scheme}")
