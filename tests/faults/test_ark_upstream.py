"""The lab's Ark by itself: its tasks, its list, its faults and its callbacks are what the report counts on."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from tests.faults import ark_callbacks, ark_upstream
from tests.faults.ark_tasks import TOKENS, ArkTask
from tests.faults.ark_upstream import ArkUpstream
from tests.faults.faulty_server import SECRET, sha256_of
from tests.faults.upstream import METERED, LabUpstream
from tests.support.images import data_uri, image_bytes

KEY = "key-of-the-test"
MODEL = "dreamina-seedance-2-0-260128"


class Scripted(ArkUpstream):
    """An Ark that injects the next fault of `script`, and none where the next one is of another kind of call."""

    def __init__(self) -> None:
        self.script: list[str] = []
        super().__init__(1, KEY)

    def draw(self, chance: float, kinds: list[str]) -> str:
        kind = self.script[0] if self.script and self.script[0] in kinds else ""
        if kind:
            self.script.pop(0)
            self.faults[kind] += 1
        return kind


@pytest.fixture
def ark() -> Iterator[Scripted]:
    server = Scripted()
    yield server
    server.stop()


def body_of(seed: int, **changes: Any) -> dict[str, Any]:
    image = {"type": "image_url", "image_url": {"url": data_uri(image_bytes())}, "role": "first_frame"}
    body = {"model": MODEL, "content": [{"type": "text", "text": "a boat"}, image], "seed": seed}
    return {**body, "resolution": "480p", "ratio": "16:9", "duration": 5, "safety_identifier": f"ref-{seed}", **changes}


def call(ark: ArkUpstream, method: str, path: str = "", **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {KEY}"}
    return httpx.request(method, f"{ark.base_url}{ark_upstream.TASKS}{path}", headers=headers, timeout=2, **options)


def create(ark: ArkUpstream, seed: int, **changes: Any) -> httpx.Response:
    return call(ark, "POST", json=body_of(seed, **changes))


def make(ark: ArkUpstream, seed: int, **changes: Any) -> ArkTask:
    """Create a task that is rendered, shown and listed at once."""
    task = ark.tasks.by_id[create(ark, seed, **changes).json()["id"]]
    task.begins_at = task.ready_at = task.listed_from = 0.0
    task.end, task.usage, task.shows_reference = "succeeded", "number", "everywhere"
    return task


def listed(ark: ArkUpstream, **filters: Any) -> tuple[list[str], int]:
    page = call(ark, "GET", params=filters).json()
    return [item["id"] for item in page["items"]], page["total"]


def test_a_task_is_counted_shown_and_delivered(ark: Scripted) -> None:
    task = make(ark, 7)
    shown = call(ark, "GET", f"/{task.id}").json()
    assert (shown["status"], shown["seed"], shown["safety_identifier"]) == ("succeeded", 7, "ref-7")
    assert (shown["resolution"], shown["ratio"], shown["duration"]) == ("480p", "16:9", 5)
    assert shown["usage"]["completion_tokens"] == TOKENS
    video = httpx.get(shown["content"]["video_url"])
    assert video.status_code == 200
    assert sha256_of(7) == hashlib.sha256(video.content).hexdigest()
    assert httpx.get(shown["content"]["video_url"].replace(SECRET, "guessed")).status_code == 403
    assert (ark.tasks.created, ark.tasks.received, ark.wrong_images) == ({7: 1}, {7: 1}, 0)


def test_another_key_and_another_image_are_counted(ark: Scripted) -> None:
    answer = httpx.post(f"{ark.base_url}{ark_upstream.TASKS}", json=body_of(1), headers={"Authorization": "Bearer x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AuthenticationError")
    assert (ark.tasks.wrong_keys, ark.tasks.created) == (1, {})
    create(ark, 2, content=[{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}])
    assert ark.wrong_images == 1


@pytest.mark.parametrize("kind", [*ark_upstream.ARK_LOST, ark_upstream.LATE])
def test_a_lost_answer_leaves_a_task_in_the_list(ark: Scripted, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.faults.faulty_server.HANG", 0.1)
    monkeypatch.setattr(ark_upstream, "HANG", 0.1)
    ark.script = [kind]
    try:
        answer = create(ark, 3)
    except httpx.HTTPError:
        answer = None
    if kind == ark_upstream.LATE:  # only its caller has gone by then
        assert answer is not None
        assert answer.is_success
    elif answer is not None:
        assert answer.status_code >= 500 or not answer.text.startswith("{")
    assert ark.tasks.created == {3: 1}
    [task] = ark.tasks.of_seed(3)
    task.listed_from = 0.0
    assert listed(ark) == ([task.id], 1)


@pytest.mark.parametrize("kind", [*ark_upstream.ARK_NOT_CREATED, *ark_upstream.EXPLICIT, "refused for its content"])
def test_a_fault_before_creation_leaves_none(ark: Scripted, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ark_upstream, "HANG", 0.1)
    ark.script = [kind]
    try:
        answer = create(ark, 3)
        assert answer.json()["error"]["code"] == answer.headers["x-error-code"]
    except httpx.HTTPError:
        assert kind in ("reset before", "reset amid", "hang before")
    assert ark.tasks.created == {}
    assert listed(ark) == ([], 0)


def test_the_list_has_pages_filters_and_a_tier_that_must_be_asked_for(ark: Scripted) -> None:
    tasks = [make(ark, seed) for seed in range(5)]
    flex = make(ark, 9, service_tier="flex")
    newest_first = [task.id for task in reversed(tasks)]
    assert listed(ark) == (newest_first, 5)
    assert listed(ark, page_num=2, page_size=2) == (newest_first[2:4], 5)
    assert listed(ark, page_num=4, page_size=2) == ([], 5)
    assert listed(ark, **{"filter.service_tier": "flex"}) == ([flex.id], 1)
    assert listed(ark, **{"filter.model": "another"}) == ([], 0)
    assert listed(ark, **{"filter.status": "running"}) == ([], 0)
    assert listed(ark, **{"filter.task_ids": [tasks[1].id, tasks[2].id]}) == ([tasks[2].id, tasks[1].id], 2)


def test_a_task_may_come_late_into_the_list_and_without_its_reference(ark: Scripted) -> None:
    task = make(ark, 4)
    task.listed_from = time.monotonic() + 60
    assert listed(ark) == ([], 0)
    task.listed_from = 0.0
    for shown, in_list, by_id in [
        ("everywhere", "ref-4", "ref-4"),
        ("by its id", None, "ref-4"),
        ("nowhere", None, None),
    ]:
        task.shows_reference = shown
        [item] = call(ark, "GET").json()["items"]
        assert item["seed"] == 4
        assert item.get("safety_identifier") == in_list
        assert call(ark, "GET", f"/{task.id}").json().get("safety_identifier") == by_id


@pytest.mark.parametrize(
    ("kind", "items", "total"), [("list cut off", 2, 4), ("list empty page", 0, 4), ("list total too high", 4, None)]
)
def test_a_list_that_is_not_whole_says_so_by_its_total(ark: Scripted, kind: str, items: int, total: int | None) -> None:
    for seed in range(4):
        make(ark, seed)
    ark.script = [kind]
    ids, said = listed(ark)
    assert len(ids) == items
    assert said > len(ids)
    assert total in (said, None)
    assert listed(ark)[1] == 4


@pytest.mark.parametrize("kind", ["list 429", "list 500", "list garbage"])
def test_a_list_that_is_refused_or_broken_is_no_page(ark: Scripted, kind: str) -> None:
    make(ark, 1)
    ark.script = [kind]
    answer = call(ark, "GET")
    with pytest.raises((KeyError, ValueError)):
        answer.json()["items"]


def test_a_task_is_cancelled_only_while_it_waits(ark: Scripted) -> None:
    task = make(ark, 1)
    task.begins_at = task.ready_at = time.monotonic() + 60
    assert call(ark, "DELETE", f"/{task.id}").status_code == 200
    assert call(ark, "GET", f"/{task.id}").json()["status"] == "cancelled"
    assert call(ark, "DELETE", f"/{task.id}").status_code == 400
    running = make(ark, 2)
    running.ready_at = time.monotonic() + 60
    assert call(ark, "DELETE", f"/{running.id}").status_code == 400
    finished = make(ark, 3)
    assert call(ark, "DELETE", f"/{finished.id}").status_code == 200
    assert call(ark, "GET", f"/{finished.id}").status_code == 404
    assert ark.tasks.deleted == [finished.id]


@pytest.mark.parametrize(
    ("usage", "shown"),
    [("number", TOKENS), ("text", str(TOKENS)), ("above", 3 * TOKENS), ("missing", None)],
    ids=["number", "text", "above", "missing"],
)
def test_usage_is_reported_as_the_dice_said(ark: Scripted, usage: str, shown: Any) -> None:
    task = make(ark, 1)
    task.usage = usage
    assert call(ark, "GET", f"/{task.id}").json().get("usage", {}).get("completion_tokens") == shown
    assert task.tokens == (None if shown is None else int(shown))


@pytest.mark.parametrize("end", ["OutputVideoSensitiveContentDetected", "expired"])
def test_a_task_may_end_without_a_video(ark: Scripted, end: str) -> None:
    task = make(ark, 1)
    task.end = end
    shown = call(ark, "GET", f"/{task.id}").json()
    assert (shown["status"], shown.get("error", {}).get("code")) in [("failed", end), ("expired", None)]
    assert "content" not in shown


def test_novitas_twin_has_tasks_of_its_own_and_no_list() -> None:
    server = LabUpstream(1)
    server.calm = True
    try:
        made = httpx.post(f"{server.url}{METERED}{ark_upstream.TASKS}", json=body_of(5))
        task_id = made.json()["id"]
        assert httpx.get(f"{server.url}{METERED}{ark_upstream.TASKS}/{task_id}").json()["id"] == task_id
        assert httpx.get(f"{server.url}{METERED}{ark_upstream.TASKS}").status_code == 404
        assert httpx.get(f"{server.url}/lab/tasks", params={"seed": 5}).json() == [task_id]
        assert (server.metered.created, server.created) == ({5: 1}, {})
    finally:
        server.stop()


@pytest.mark.parametrize("forged", [None, *ark_callbacks.FORGED])
def test_callbacks_tell_each_change_and_the_forged_ones_come_first(ark: Scripted, forged: str | None) -> None:
    posts: list[tuple[str, bytes]] = []
    came = threading.Semaphore(0)

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()
            came.release()

        def log_message(self, *args: Any) -> None:
            """Print nothing."""

    other = make(ark, 8)
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, args=(0.05,), daemon=True).start()
    ark.callbacks._dice.random = lambda: 0.0  # type: ignore[method-assign]  # none is lost
    ark.script = [forged] if forged else []
    try:
        url = f"http://127.0.0.1:{receiver.server_address[1]}/callbacks/ref-1"
        task_id = create(ark, 1, callback_url=url).json()["id"]
        for _ in range(3 + bool(forged)):
            assert came.acquire(timeout=9)
    finally:
        receiver.shutdown()
        receiver.server_close()
    true = posts[bool(forged) :]
    assert {path for path, _ in true} == {"/callbacks/ref-1"}
    assert {json.loads(content)["id"] for _, content in true} == {task_id}
    if forged:
        path, content = posts[0]
        assert (path == "/callbacks/ref-1") == (forged != "of an unknown reference")
        assert task_id.encode() not in content
        assert (other.id.encode() in content) == (forged in ("of an unknown reference", "with another's task"))
