"""An operator logs in and reads the dashboard."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE
from tests.browser.panel import GENERATIONS, Panel


def test_a_login_needs_the_right_password(open_window: Any, take_screenshot: Any) -> None:
    panel = open_window()
    panel.log_in("not it")
    expect(panel.page.get_by_text("Please enter the correct username and password")).to_be_visible()
    take_screenshot(panel.page, "login")
    panel.log_in()
    expect(panel.page.locator("#dashboard")).to_be_visible()


def test_the_dashboard_shows_tiles_periods_and_charts(
    panel: Panel, video: dict[str, Any], take_screenshot: Any
) -> None:
    page = panel.page
    page.goto("/admin/")
    for name in ("Upstream", "Worker", "Due now", "Longest wait", "In doubt", "Stalled", "Copy retrying"):
        expect(page.locator(".panel-tile", has_text=name).first).to_be_visible()
    succeeded = page.locator("#periods tr", has_text="Succeeded").locator("td").first
    assert int(succeeded.inner_text()) >= 1
    for chart in page.locator("canvas.chart").all():
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert chart.evaluate("canvas => Chart.getChart(canvas).data.datasets.length") >= 1
    take_screenshot(page, "dashboard")


def test_the_dashboard_refreshes_itself_until_it_is_paused(panel: Panel) -> None:
    page = panel.page
    page.clock.install()
    page.goto("/admin/")
    page.wait_for_function("Chart.getChart(document.querySelector('canvas.chart'))")
    accepted = page.locator("#periods tr", has_text="Accepted").locator("td").first
    before = int(accepted.inner_text())
    panel.create_generation(seed=1)
    with page.expect_response(lambda response: response.request.headers.get("x-refresh") == "1"):
        page.clock.fast_forward(21_000)
    expect(accepted).to_have_text(str(before + 1))
    page.get_by_role("button", name="Pause refreshing").click()
    expect(page.get_by_role("button", name="Resume refreshing")).to_have_attribute("aria-pressed", "true")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.clock.fast_forward(60_000)
    assert requests == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_readable_on_a_phone_and_in_the_dark(
    open_window: Any, logged_in: Any, video: dict[str, Any], scheme: str, take_screenshot: Any
) -> None:
    panel = open_window(storage_state=logged_in, viewport=PHONE, color_scheme=scheme)
    for name, address in {"dashboard": "/admin/", "generation": f"{GENERATIONS}{video['id']}/change/"}.items():
        panel.page.goto(address)
        take_screenshot(panel.page, f"phone-{scheme}-{name}")
        wide = panel.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0, f"{name} is {wide} pixels wider than the phone"
