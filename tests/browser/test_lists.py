"""Every list of the panel opens."""

from typing import Any

import pytest

from tests.browser.panel import Panel

GENERATIONS_MODELS = (
    "generation",
    "limitwarning",
    "upstreambill",
    "billedproduct",
    "webhookendpoint",
    "delivery",
    "manualpause",
    "pause",
    "worker",
)


@pytest.mark.parametrize(
    "name", ["tenant", "apikey", "refusalcount", "ledgerentry", "auditentry", *GENERATIONS_MODELS, "user", "group"]
)
def test_each_list_opens(panel: Panel, take_screenshot: Any, name: str) -> None:
    app = "generations" if name in GENERATIONS_MODELS else "auth" if name in ("user", "group") else "tenants"
    response = panel.page.goto(f"/admin/{app}/{name}/")
    assert response is not None
    assert response.status == 200
    take_screenshot(panel.page, f"list-{name}")
