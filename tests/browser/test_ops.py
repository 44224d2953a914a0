"""The daily work of an operator, in the real panel of the real product."""

import re
import time
from typing import Any

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE
from tests.browser.panel import GENERATIONS, SEEDS, TENANTS, Panel
from tests.story.test_story import finished

GENERATIONS_MODELS = ("generation", "webhookendpoint", "delivery", "pause", "worker")
HOSTILE = '<script>alert("ran")</script><img src=x onerror=alert("ran")>'


@pytest.fixture(scope="session")
def video(service: Any, browser: Any) -> dict[str, Any]:
    """Create a generation that succeeded, with a seed of its own."""
    panel = Panel(browser.new_page(), service)
    return panel.create_finished_generation(
        seed=20261125, prompt="A lighthouse at dusk", external_id="order-7", metadata={"team": "web"}
    )


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
        assert chart.evaluate("canvas => Chart.getChart(canvas).data.datasets.length") >= 2
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


def test_a_key_is_created_used_and_revoked(panel: Panel, take_screenshot: Any) -> None:
    page = panel.page
    page.goto(TENANTS)
    take_screenshot(page, "tenants")
    page.locator("#result_list").get_by_role("link", name="demo").click()
    take_screenshot(page, "tenant")
    page.get_by_role("link", name="Create key").first.click()
    page.locator("[name=label]").fill("the shop")
    page.locator("[name=reason]").fill("they asked for one")
    page.get_by_role("button", name="Create key").click()
    key = page.locator("#one-time-secret").inner_text()
    page.get_by_role("link", name="I have copied it").click()
    row = page.locator("#keys tr", has_text="the shop")
    expect(row).to_contain_text("never")
    assert panel.create_generation(key, seed=3).status_code == 202
    row.get_by_role("link", name="Revoke").click()
    page.locator("[name=reason]").fill("it leaked")
    page.get_by_role("button", name="Revoke key").click()
    expect(page.locator("#keys tr", has_text="the shop").get_by_role("link", name="Revoke")).to_have_count(0)
    assert key not in page.content()
    assert (
        panel.create_generation(key, seed=4).status_code == 401
    )  # at once; reads use the process's cache for up to 3 s
    ends = time.monotonic() + 4
    while httpx.get(f"{panel.service.url}/v1/limits", headers={"Authorization": f"Bearer {key}"}).status_code != 401:
        assert time.monotonic() < ends
        time.sleep(0.1)


def test_a_limit_is_reached_and_seen(panel: Panel, take_screenshot: Any) -> None:
    page = panel.page
    page.goto(f"{TENANTS}add/")
    page.locator("[name=name]").fill("small team")
    page.locator("[name=per_day]").fill("1")
    page.locator("[name=reason]").fill("a trial")
    page.get_by_role("button", name="Save", exact=True).click()
    panel.run_action("Create key", "for the trial")
    key = page.locator("#one-time-secret").inner_text()
    page.get_by_role("link", name="I have copied it").click()
    assert panel.create_generation(key).status_code == 202
    refused = panel.create_generation(key)
    assert (refused.status_code, refused.json()["code"]) == (429, "limit_reached")
    page.reload()
    bar = page.get_by_role("progressbar", name="Per day")
    expect(bar).to_have_attribute("aria-valuetext", "1 / 1")
    take_screenshot(page, "limit-reached")
    page.goto(TENANTS)
    expect(page.locator("#result_list tr", has_text="small team")).to_contain_text("1 / 1")


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


def test_an_action_needs_a_reason(panel: Panel) -> None:
    page = panel.page
    row = panel.create_finished_generation(prompt="[fail]", seed=5)
    panel.open_generation(row["id"])
    page.get_by_role("link", name="Run again").first.click()
    page.get_by_role("button", name="Run again").click()
    expect(page.get_by_text("This field is required")).to_be_visible()
    panel.open_generation(row["id"])
    panel.run_action("Run again", "once more", seed="6")
    expect(page.get_by_text(f"Run again: done for {row['id']}")).to_be_visible()
    expect(panel.search(SEEDS, "6")).to_have_count(1)


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


@pytest.mark.parametrize("name", ["apikey", "ledgerentry", "auditentry", *GENERATIONS_MODELS, "user", "group"])
def test_each_list_opens(panel: Panel, take_screenshot: Any, name: str) -> None:
    app = "generations" if name in GENERATIONS_MODELS else "auth" if name in ("user", "group") else "tenants"
    response = panel.page.goto(f"/admin/{app}/{name}/")
    assert response is not None
    assert response.status == 200
    take_screenshot(panel.page, f"list-{name}")
