"""axe-core finds no serious fault on the main pages of the panel, in light and in dark mode."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.panel import GENERATIONS, LEDGER, MODELS, SEEDS, TENANTS, Panel

SERIOUS = ("serious", "critical")


@pytest.fixture(scope="session")
def generation(service: Any, browser: Any) -> str:
    """Create a finished generation and return its id."""
    return str(Panel(browser.new_page(), service).create_finished_generation(prompt="The lighthouse", seed=8)["id"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "name",
    ["dashboard", "list", "detail", "seeds", "tenants", "models", "model", "action", "ledger", "billing", "bills"],
)
def test_no_page_has_a_serious_fault(open_window: Any, logged_in: Any, generation: str, name: str, scheme: str) -> None:
    addresses = {
        "dashboard": "/admin/",
        "list": GENERATIONS,
        "detail": f"{GENERATIONS}{generation}/change/",
        "seeds": SEEDS,
        "tenants": TENANTS,
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
    result = Axe().run(panel.page).response
    assert result["passes"]  # axe-core has checked the page
    faults = [fault for fault in result["violations"] if fault["impact"] in SERIOUS]
    assert faults == [], "\n".join(f"{fault['id']}: {node['html']}" for fault in faults for node in fault["nodes"])
