"""axe-core finds no serious fault on the main pages of the panel and of the documentation, in light and dark mode."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import DESKTOP, PHONE
from tests.browser.panel import GENERATIONS, LEDGER, MODELS, SEEDS, TENANTS, Panel
from tests.support.running import ROOT

SERIOUS = ("serious", "critical")
GUIDE = [path.stem for path in (ROOT / "seedance_service/docs/guide").glob("*.md")] + ["errors/limit_reached"]


@pytest.fixture(scope="session")
def generation(service: Any, browser: Any) -> str:
    """Create a finished generation and return its id."""
    return str(Panel(browser.new_page(), service).create_finished_generation(prompt="The lighthouse", seed=8)["id"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name",
    [
        "dashboard",
        "list",
        "detail",
        "seeds",
        "tenants",
        "refusals",
        "models",
        "model",
        "action",
        "ledger",
        "billing",
        "bills",
    ],
)
def test_no_page_has_a_serious_fault(open_window: Any, logged_in: Any, generation: str, name: str, scheme: str) -> None:
    addresses = {
        "dashboard": "/admin/",
        "list": GENERATIONS,
        "detail": f"{GENERATIONS}{generation}/change/",
        "seeds": SEEDS,
        "tenants": TENANTS,
        "refusals": "/admin/tenants/refusalcount/",
        "models": MODELS,
        "model": f"{MODELS}wan2.6-i2v/change/",
        "action": f"{GENERATIONS}{generation}/rerun/",
        "ledger": LEDGER,
        "billing": f"{LEDGER}billing/",
        "bills": "/admin/generations/upstreambill/comparison/",
    }
    panel = open_window(storage_state=logged_in, color_scheme=scheme)
    response = panel.page.goto(addresses[name])
    assert response is not None
    assert response.status == 200
    check(panel.page)


def check(page: Page) -> None:
    """Let axe-core check the page as it is now."""
    result = Axe().run(page).response
    assert result["passes"]  # axe-core has checked the page
    faults = [fault for fault in result["violations"] if fault["impact"] in SERIOUS]
    assert faults == [], "\n".join(f"{fault['id']}: {node['html']}" for fault in faults for node in fault["nodes"])


def check_width(page: Page) -> None:
    """Check that the page does not scroll sideways."""
    widths: list[int] = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert widths[0] <= widths[1]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("window", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_no_page_of_the_documentation_has_a_serious_fault(open_window: Any, window: Any, scheme: str) -> None:
    page = open_window(color_scheme=scheme, viewport=window).page
    for name in GUIDE:
        page.goto(f"/docs/{name}")
        check(page)
        check_width(page)


@pytest.mark.parametrize("window", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_api_reference_has_no_serious_fault(open_window: Any, take_screenshot: Any, window: Any) -> None:
    """Swagger UI is checked as it opens, with its dialogue, and with operations open to be tried out."""
    page = open_window(viewport=window).page
    page.goto("/docs")
    expect(page.locator("#servers")).to_have_attribute("aria-label", "Server")
    check(page)
    page.get_by_role("button", name="Authorize").first.click()
    expect(page.get_by_role("button", name="Close").first).to_be_visible()
    check(page)
    page.get_by_role("button", name="Close").first.click()
    for method in ("get", "post"):
        operation = page.locator(f".opblock-{method}").first
        operation.locator(".opblock-summary-control").press("Enter")  # by the keyboard
        operation.get_by_role("button", name="Try it out").click()
    page.locator(".json-schema-2020-12-expand-deep-button").first.click()
    expect(page.locator(".examples-select-element").last).to_have_attribute("aria-label", "Example")
    check(page)
    check_width(page)
