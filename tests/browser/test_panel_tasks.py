"""Each question of docs/PANEL.md is answered from the dashboard in three clicks or fewer."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.panel import Panel
from tests.support.running import ROOT, MakeRun

MAX_CLICKS = 3
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "PANEL.md").read_text().splitlines()
    if line.startswith("|") and not line.startswith(("| who", "|---"))
]
RECEIVER = "https://hooks.example.com/seedance"
CONTROLS = "a:visible, button:visible, summary:visible, input[type=submit]:visible"


@pytest.fixture(scope="module")
def names(service: MakeRun, video: dict[str, Any]) -> dict[str, str]:
    """Return what stands for each name in italics, and make the endpoint and the generation that have them."""
    key = service.printed("API key")
    with httpx.Client(base_url=service.url, headers={"Authorization": f"Bearer {key}"}) as http:
        http.post("/v1/webhook-endpoints", json={"url": RECEIVER}).raise_for_status()
    prefix = key.rpartition("_")[0]
    return {
        "tenant": "demo",
        "endpoint": "https://hooks.example.com",
        "generation": video["id"][:8],
        "order-7": "order-7",
        "key": prefix,
    }


def control(page: Page, name: str) -> Locator:
    """Return the link or button with this text, in the page's content if there is one, or else in the sidebar."""
    pattern = re.compile(rf"(^|\s){re.escape(name)}", re.MULTILINE)
    found = page.locator(CONTROLS).filter(has_text=pattern)
    inside = page.locator("main, #content").locator(CONTROLS).filter(has_text=pattern)
    expect(found.first).to_be_visible()
    return inside.first if inside.count() else found.first


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row[1]))
def test_it_is_answered_in_three_clicks(panel: Panel, names: dict[str, str], row: list[str]) -> None:
    _, _, clicks, answer = row
    page, count = panel.page, 0
    page.goto("/admin/")
    steps = [step.strip() for step in clicks.split("›") if step.strip()]
    for step in steps:
        name = names.get(step.removeprefix("type ").removeprefix("choose ").strip("*"), step)
        if step.startswith("type "):
            page.locator("#searchbar").fill(name)
            page.locator("#searchbar").press("Enter")
            page.wait_for_load_state()
            continue
        count += 1
        if step.startswith("choose "):
            with page.expect_navigation():
                page.locator("select.panel-select").select_option(label=name.removeprefix("choose "))
        elif name.startswith("Download"):
            with page.expect_download():
                control(page, name).click()
        else:
            control(page, name).click()
            page.wait_for_load_state()
    assert count <= MAX_CLICKS
    if answer:
        expect(page.get_by_text(answer.strip("`")).first).to_be_visible()


def test_the_list_is_long_enough_to_mean_something() -> None:
    assert len(ROWS) >= 15
    assert {row[0] for row in ROWS} == {"ops on call", "finance", "a tenant's engineer"}
