"""An operator stops spending: pauses submits, suspends a tenant with its queue, and cancels what a filter matches."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.panel import GENERATIONS, TENANTS, Panel
from tests.story.test_story import finished

PAUSES = "/admin/generations/manualpause/"


@pytest.fixture
def paused(panel: Panel, take_screenshot: Any) -> Iterator[Panel]:
    """Pause all submits in the panel, and resume them at the end."""
    page = panel.page
    page.goto(PAUSES)
    page.get_by_role("link", name="Pause submits").first.click()
    page.locator("[name=what]").select_option(label="All submits")
    page.locator("[name=reason]").fill("a runaway tenant")
    take_screenshot(page, "pause-submits")
    page.get_by_role("button", name="Pause submits").click()
    expect(page.get_by_text("Submits are paused:")).to_be_visible()
    yield panel
    page.goto(PAUSES)
    page.locator("#result_list tbody").get_by_role("link").first.click()
    panel.run_action("Resume submits", "the cause is mended")
    expect(page.get_by_text("Submits go on:")).to_be_visible()


def make_tenant(panel: Panel, name: str) -> str:
    """Create a tenant with a key by the panel, and return the key. The tenant's page is open then."""
    page = panel.page
    page.goto(f"{TENANTS}add/")
    page.locator("[name=name]").fill(name)
    page.locator("[name=reason]").fill("a trial")
    page.get_by_role("button", name="Save", exact=True).click()
    panel.run_action("Create key", "for the trial")
    key = page.locator("#one-time-secret").inner_text()
    page.get_by_role("link", name="I have copied it").click()
    return key


def test_submits_that_are_paused_are_seen_and_go_on_after_a_resume(paused: Panel, take_screenshot: Any) -> None:
    page = paused.page
    row = paused.create_generation(seed=901).json()
    page.goto("/admin/")
    tile = page.locator(".panel-tile.panel-bad", has_text="Paused: All submits")
    expect(tile).to_contain_text("admin: a runaway tenant")
    take_screenshot(page, "dashboard-paused")
    paused.open_generation(row["id"])
    expect(page.locator("#timeline li", has_text="paused submits")).to_have_count(1)
    page.goto(PAUSES)
    page.locator("#result_list tbody").get_by_role("link").first.click()
    paused.run_action("Resume submits", "the cause is mended")
    with paused.service.http() as http:
        assert finished(http, row["id"])["status"] == "succeeded"
    # The fixture resumes once more: order another pause for it.
    page.get_by_role("link", name="Pause submits").first.click()
    page.locator("[name=what]").select_option(label="Account sandbox")
    page.locator("[name=reason]").fill("a test")
    page.get_by_role("button", name="Pause submits").click()
    expect(page.get_by_text("Submits are paused:")).to_be_visible()


def test_a_tenant_is_suspended_with_its_queue(paused: Panel, take_screenshot: Any) -> None:
    page = paused.page
    key = make_tenant(paused, "runaway")
    tenant_url = page.url
    for seed in (902, 903):
        assert paused.create_generation(key, seed=seed).status_code == 202
    page.get_by_role("link", name="Suspend").first.click()
    page.locator("[name=cancel_queued]").check()
    page.locator("[name=reason]").fill("its code never ends")
    take_screenshot(page, "suspend")
    page.get_by_role("button", name="Suspend").click()
    expect(page.get_by_text("2 queued generations were cancelled.")).to_be_visible()
    page.goto(tenant_url)
    expect(page.get_by_text("This tenant is suspended")).to_be_visible()
    assert paused.create_generation(key).status_code == 403
    page.goto("/admin/tenants/auditentry/?q=never+ends")
    expect(page.locator("#result_list tbody tr")).to_have_count(2)


def test_what_a_filter_matches_is_counted_and_cancelled(paused: Panel, take_screenshot: Any) -> None:
    page = paused.page
    rows = [paused.create_generation(seed=seed, external_id="batch-9").json() for seed in (904, 905)]
    other = paused.create_generation(seed=906, external_id="batch-10").json()
    expect(paused.search(GENERATIONS, "batch-9")).to_have_count(2)
    page.get_by_role("link", name="Cancel matching").first.click()
    expect(page.get_by_text("2 queued generations match")).to_be_visible()
    take_screenshot(page, "cancel-matching")
    page.locator("[name=reason]").fill("sent by mistake")
    page.get_by_role("button", name="Cancel matching").click()
    expect(page.get_by_text("2 queued generations were cancelled, and their holds released.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?q=batch-9"))
    for row in rows:
        expect(page.locator("#result_list tr", has_text=row["id"])).to_contain_text("cancelled")
    paused.open_generation(other["id"])
    expect(page.locator("#timeline li", has_text="Queued").first).to_be_visible()
    expect(page.locator("#timeline li", has_text="Cancelled")).to_have_count(0)
