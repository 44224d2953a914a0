"""axe-core finds nothing serious on the pages that ops live on, in the light and in the dark."""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.panel import GENERATIONS, SEEDS, TENANTS, Panel

SERIOUS = ("serious", "critical")


@pytest.fixture(scope="session")
def generation(service: Any, browser: Any) -> str:
    return str(Panel(browser.new_page(), service).made(prompt="The lighthouse", seed=8)["id"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["dashboard", "list", "detail", "seeds", "tenants", "act"])
def test_nothing_serious_is_found(opened: Any, logged_in: Any, generation: str, name: str, scheme: str) -> None:
    addresses = {
        "dashboard": "/admin/",
        "list": GENERATIONS,
        "detail": f"{GENERATIONS}{generation}/change/",
        "seeds": SEEDS,
        "tenants": TENANTS,
        "act": f"{GENERATIONS}{generation}/rerun/",
    }
    panel = opened(storage_state=logged_in, color_scheme=scheme)
    answer = panel.page.goto(addresses[name])
    assert answer is not None
    assert answer.status == 200
    found = Axe().run(panel.page).response
    assert found["passes"]  # it has looked
    faults = [fault for fault in found["violations"] if fault["impact"] in SERIOUS]
    assert faults == [], "\n".join(f"{fault['id']}: {node['html']}" for fault in faults for node in fault["nodes"])
