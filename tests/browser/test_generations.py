"""An operator finds generations, watches a video and performs actions."""

import re
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.panel import GENERATIONS, SEEDS, Panel
from tests.story.test_story import finished

HOSTILE = '<script>alert("ran")</script><img src=x onerror=alert("ran")>'


def test_a_generation_is_found_by_its_seed_and_its_video_plays(
    panel: Panel, video: dict[str, Any], take_screenshot: Any
) -> None:
    page = panel.page
    rows = panel.search(SEEDS, str(video["seed"]))
    expect(rows).to_have_count(1)
    take_screenshot(page, "seed-log")
    rows.get_by_role("link", name=video["id"]).click()
    expect(page).to_have_url(re.compile(f"{GENERATIONS}{video['id']}/change/"))
    player = page.locator("video")
    player.evaluate("video => { video.muted = true; return video.play(); }")
    page.wait_for_function("document.querySelector('video').currentTime > 0.2")
    assert player.evaluate("video => [video.videoWidth, video.videoHeight]") == [864, 480]
    first = page.get_by_role("img", name="First frame")
    first.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.panel-image img').naturalWidth > 0")
    for status in ("Queued", "Submitting", "Running", "Copying", "Succeeded"):
        expect(page.locator("#timeline li", has_text=status)).to_have_count(1)
    expect(page.get_by_text("capture", exact=True)).to_be_visible()
    take_screenshot(page, "generation")


@pytest.mark.parametrize("term", ["id", "external_id", "sha256"])
def test_a_generation_is_found_by_any_of_its_names(panel: Panel, video: dict[str, Any], term: str) -> None:
    names = {**video, "sha256": video["video"]["sha256"]}
    rows = panel.search(GENERATIONS, names[term])
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text(video["id"])
    panel.page.wait_for_function("document.querySelector('img.panel-poster').naturalWidth > 0")


def test_the_seed_log_is_exported(panel: Panel, video: dict[str, Any]) -> None:
    panel.search(SEEDS, str(video["seed"]))
    with panel.page.expect_download() as download:
        panel.page.get_by_role("link", name="Export CSV").first.click()
    text = download.value.path().read_text()
    assert download.value.suggested_filename == "seeds.csv"
    assert video["id"] in text
    assert text.count("\n") == 2


def test_a_generation_in_doubt_is_resolved_by_the_upstreams_task(panel: Panel, take_screenshot: Any) -> None:
    page = panel.page
    in_doubt = panel.create_generation(seed=4711, prompt="The harbour [lose]").json()
    page.goto("/admin/")
    tile = page.get_by_role("link", name=re.compile("^In doubt [0-9]"))
    for _ in range(60):
        if "panel-warn" in (tile.get_attribute("class") or ""):
            break
        page.wait_for_timeout(250)
        page.reload()
    tile.click()
    page.locator("#result_list").get_by_role("link", name=in_doubt["id"]).click()
    expect(page.get_by_text("may or may not have been paid for")).to_be_visible()
    take_screenshot(page, "in-doubt")
    [task] = [task["id"] for task in panel.service.submits() if task["seed"] == 4711]
    for _ in range(60):  # the upstream reports the seed only after rendering
        panel.run_action("Attach upstream task", "its dashboard shows it", upstream_id=task)
        if page.get_by_text("Attach upstream task: done").count():
            break
        panel.open_generation(in_doubt["id"])
    else:
        raise AssertionError("the task could not be attached")
    with panel.service.http() as http:
        assert finished(http, in_doubt["id"])["status"] == "succeeded"
    page.goto("/admin/tenants/auditentry/")
    expect(page.locator("#result_list tbody tr").first).to_contain_text("doubt: attach")
    take_screenshot(page, "audit-log")


def test_what_a_caller_wrote_is_text_everywhere(panel: Panel) -> None:
    """`open_window` fails the test at a dialog or an error in the console."""
    row = panel.create_finished_generation(
        prompt=HOSTILE, external_id=HOSTILE, metadata={HOSTILE[:60]: HOSTILE}, seed=666
    )
    for address in ("/admin/", GENERATIONS, SEEDS, f"{GENERATIONS}{row['id']}/change/", "/admin/generations/delivery/"):
        panel.page.goto(address)
        assert panel.page.locator("img[src=x]").count() == 0
    panel.open_generation(row["id"])
    expect(panel.page.locator("#prompt")).to_have_text(HOSTILE)


def test_an_action_needs_a_reason(panel: Panel, take_screenshot: Any) -> None:
    page = panel.page
    row = panel.create_finished_generation(prompt="[fail]", seed=5)
    panel.open_generation(row["id"])
    expect(page.locator("#charge")).to_have_text("Charged $0.00. $0.088209 was held and released.")
    take_screenshot(page, "generation-failed")
    page.get_by_role("link", name="Run again").first.click()
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("This field is required")).to_be_visible()
    panel.open_generation(row["id"])
    panel.run_action("Run again", "once more", seed="6")
    expect(page.get_by_text(f"Run again: done for {row['id']}")).to_be_visible()
    expect(panel.search(SEEDS, "6")).to_have_count(1)
