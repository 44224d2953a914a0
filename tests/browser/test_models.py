"""An operator reads how the models fare, retires one, and makes it active again."""

import re
from typing import Any

import httpx
from playwright.sync_api import expect

from tests.browser.panel import MODELS, Panel

MODEL, OTHER = "kling-v3.0-std-t2v", "kling-v3.0-pro-t2v"  # of no other test


def create(panel: Panel) -> httpx.Response:
    """Ask for a generation by the model, and return the answer."""
    headers = {"Authorization": f"Bearer {panel.service.printed('API key')}"}
    body = {"model": MODEL, "prompt": "Gulls cry over the harbour", "duration": 3}
    return httpx.post(f"{panel.service.url}/v1/generations", json=body, headers=headers, timeout=30)


def test_a_model_is_retired_and_restored(panel: Panel, take_screenshot: Any) -> None:
    page = panel.page
    page.goto(MODELS)
    take_screenshot(page, "models")
    row = page.locator("#models tbody tr", has=page.get_by_role("link", name=MODEL, exact=True))
    expect(row).to_contain_text("active")
    page.get_by_role("link", name=MODEL, exact=True).click()
    take_screenshot(page, "model")
    page.get_by_role("link", name="Retire model").first.click()
    page.locator("[name=replacement]").select_option(label=OTHER)
    page.locator("[name=reason]").fill("the vendor's notice")
    page.get_by_role("button", name="Retire model").click()
    expect(page.get_by_text(f"{MODEL} is retired: 0 queued generations fail")).to_be_visible()
    page.goto(MODELS)
    expect(row).to_contain_text("retired")
    expect(row).to_contain_text(OTHER)
    for _ in range(20):  # another process may know the state for some seconds more
        refused = create(panel)
        if refused.status_code == 410:
            break
        page.wait_for_timeout(500)
    assert (refused.status_code, refused.json()["replacement"]) == (410, OTHER)
    page.get_by_role("link", name=MODEL, exact=True).click()
    panel.run_action("Restore model", "it lives")
    expect(page.get_by_role("link", name=re.compile("Restore model"))).to_have_count(0)
