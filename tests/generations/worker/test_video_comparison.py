"""Tests of videos that are compared with what was paid for, through the worker's steps and both APIs."""

import dataclasses
import functools
import json
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations.bucket import inputs, objects
from generations.media.images import inspect
from generations.media.videos import Video
from generations.models import Delivery, Generation
from generations.ops import deletion, pruning
from generations.telemetry import metrics
from generations.worker import video_comparison
from tests.support.ark_answers import rendered as rendered_task
from tests.support.ark_generations import lead_to, make_running
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes, mp4, render_mp4
from tests.support.mp4_files import remux, with_matrix
from tests.support.upstream import Upstream, as_json
from tests.support.worker import ledger_kinds, take_step, take_steps_until

Status = Generation.Status


@functools.cache
def rendered(width: int, height: int, frames: int) -> bytes:
    return render_mp4(width=width, height=height, frames=frames, camera_fixed=True)


def make(caller: Caller, resolution: str = "480p", ratio: str = "16:9", duration: int = 5, **facts: Any) -> Generation:
    """Return a generation that the upstream has created."""
    image = inputs.store(caller.tenant.pk, inspect(image_bytes()))
    request = {"resolution": resolution, "aspect_ratio": ratio, "duration": duration}
    g = make_generation(caller, image=image, **request, **facts)
    return take_steps_until(g, Status.RUNNING)


def video(width: int, height: int, duration: float = 121 / 24, *, fps: float = 24.0, pixels: int = 0) -> Video:
    return Video("h264", width, height, fps, duration, b"", round(duration * fps), pixels or width * height)


REQUEST = {"model": "seedance-v1-lite-i2v", "resolution": "480p", "aspect_ratio": "16:9", "duration": 5, "seed": 7}


def compared(received: Video, **request: Any) -> tuple[list[str], bool]:
    """Return the fields that differ, and whether the video is far off."""
    result = video_comparison.compare(Generation(**{**REQUEST, **request}), received)
    return [difference["field"] for difference in result.differences], result.is_far_off


HD = {"resolution": "720p"}
FULL_HD = {"resolution": "1080p"}
LONG = {"duration": 10}
SILENT = {"model": "kling-v3.0-std-i2v", "seed": None, "parameters": {"audio": False}}
WITH_SOUND = {**SILENT, "parameters": {"audio": True}}
AS_REQUESTED = {
    "the documented size": (video(864, 480), {}),
    "rounded to 16 pixels": (video(848, 480), {}),
    "another maker's rounding": (video(854, 480), {}),
    "cropped": (video(1920, 1080), FULL_HD),
    "uncropped": (video(1920, 1088), FULL_HD),
    "without the first frame": (video(864, 480, 5.0), {}),
    "two frames more": (video(864, 480, 123 / 24), {}),
    "two frames fewer": (video(864, 480, 118 / 24), {}),
    "ten seconds": (video(864, 480, 241 / 24), LONG),
    "frames of television": (video(864, 480, 121 / 23.976, fps=23.976), {}),
    "upright": (video(480, 864), {"aspect_ratio": "9:16"}),
    "wide": (video(960, 416), {"aspect_ratio": "21:9"}),
    "the seed": (video(864, 480), {"upstream_seed": 7}),
    "silent, as asked for": (video(864, 480, 5.0), SILENT),
    "with sound, unasked": (dataclasses.replace(video(864, 480, 5.0), has_audio=True), SILENT),
    "a model that is not known any more": (video(64, 64), {"model": "retired"}),
}
DIFFERENT = {
    "without the sound that is paid for": (video(864, 480, 5.0), WITH_SOUND, ["audio"]),
    "larger": (video(1248, 704), {}, ["width", "height"]),
    "much larger": (video(1920, 1088), {}, ["width", "height"]),
    "another maker's 720p": (video(1280, 720), HD, ["width"]),
    "another shape": (video(960, 416), {}, ["width", "height"]),
    "on its side": (video(480, 864), {}, ["width", "height"]),
    "another 4:3": (video(960, 720), {**HD, "aspect_ratio": "4:3"}, ["width", "height"]),
    "a little shorter": (video(864, 480, 4.6), {}, ["duration", "frames"]),
    "a little longer": (video(864, 480, 6.0), {}, ["duration", "frames"]),
    "more frames": (video(864, 480, fps=30), {}, ["fps", "frames"]),
    "fewer frames": (video(864, 480, fps=16), {}, ["fps", "frames"]),
    "another seed": (video(864, 480), {"upstream_seed": 8}, ["seed"]),
}
FAR_OFF = {
    "a small video of the length": (video(320, 240, 241 / 24), LONG),
    "a large video of a second": (video(1920, 1088, 25 / 24), LONG),
    "both smaller and shorter": (video(864, 480), {**FULL_HD, **LONG}),
    "the next smaller resolution": (video(1248, 704), FULL_HD),
    "the smallest resolution": (video(864, 480), HD),
    "a third of the pixels": (video(640, 360), {}),
    "half the length": (video(864, 480), LONG),
    "a fifth shorter": (video(864, 480, 4.0), {}),
    "twice the length": (video(864, 480, 241 / 24), {}),
    "a slide show": (video(864, 480, fps=1), {}),
    "few pixels that are stretched": (video(864, 480, pixels=216 * 480), {}),
}


@pytest.mark.parametrize(("received", "request_"), AS_REQUESTED.values(), ids=AS_REQUESTED.keys())
def test_what_encoders_round_is_as_requested(received: Video, request_: dict[str, Any]) -> None:
    assert compared(received, **request_) == ([], False)


@pytest.mark.parametrize(("received", "request_", "fields"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_a_small_difference_is_named(received: Video, request_: dict[str, Any], fields: list[str]) -> None:
    assert sorted(compared(received, **request_)[0]) == sorted(fields)
    assert not compared(received, **request_)[1]


@pytest.mark.parametrize(("received", "request_"), FAR_OFF.values(), ids=FAR_OFF.keys())
def test_fewer_pixels_or_another_duration_are_far_off(received: Video, request_: dict[str, Any]) -> None:
    fields, is_far_off = compared(received, **request_)
    assert is_far_off
    assert fields or received.pixels < received.width * received.height


SHAPE = {"resolution": "480p", "aspect_ratio": "16:9", "duration": 5}
REPORTS: dict[str, tuple[dict[str, Any], dict[str, Any], list[tuple[str, float, float]]]] = {
    "nothing": ({}, {}, []),
    "what was requested": (SHAPE, {}, []),
    "another spelling of it": ({"resolution": "480P", "aspect_ratio": "32:18"}, {}, []),
    "another resolution": ({**SHAPE, "resolution": "1080p"}, {}, [("resolution", 480, 1080)]),
    "a resolution named by its columns": ({"resolution": "4k"}, {}, [("resolution", 480, 2160)]),
    "a smaller resolution": ({"resolution": "240p"}, {}, [("resolution", 480, 240)]),
    "another ratio": ({"aspect_ratio": "9:16"}, {}, [("aspect_ratio", 1.778, 0.562)]),
    "another duration": ({"duration": 12}, {}, [("duration", 5, 12)]),
    "all three": (
        {"resolution": "720p", "aspect_ratio": "1:1", "duration": 4},
        {},
        [("resolution", 480, 720), ("aspect_ratio", 1.778, 1.0), ("duration", 5, 4)],
    ),
    "words that are no numbers": ({"resolution": "best", "aspect_ratio": "wide"}, {}, []),
    "a ratio that the model does not have": ({"aspect_ratio": "1:1"}, {"aspect_ratio": None}, []),
}


@pytest.mark.parametrize(("report", "request_", "expected"), REPORTS.values(), ids=REPORTS.keys())
def test_what_the_upstream_reports_of_the_shape_is_compared_and_is_no_reason_to_withhold(
    report: dict[str, Any], request_: dict[str, Any], expected: list[tuple[str, float, float]]
) -> None:
    generation = Generation(**{**REQUEST, **request_}, upstream_shape=report)
    result = video_comparison.compare(generation, video(864, 480))
    found = [(item["field"], item["requested"], item["received"]) for item in result.differences]
    assert (found, result.is_far_off) == (expected, False)


def test_a_duration_that_was_measured_is_named_once() -> None:
    generation = Generation(**REQUEST, upstream_shape={"duration": 6})
    result = video_comparison.compare(generation, video(864, 480, 6.0))
    assert [item["received"] for item in result.differences if item["field"] == "duration"] == [6.0]


def test_a_video_of_a_smaller_resolution_is_far_off_whatever_is_reported() -> None:
    assert compared(video(864, 480), **FULL_HD, upstream_shape={"resolution": "480p"})[1]


ADAPTIVE = {"model": "seedance-2-0", "resolution": "720p", "aspect_ratio": "adaptive", "camera_fixed": None}
CHOSEN: dict[str, tuple[Video, dict[str, Any], list[str], bool]] = {
    "a size of the resolution": (video(1280, 720), {}, [], False),
    "upright": (video(720, 1280), {}, [], False),
    "rounded": (video(1280, 704), {}, [], False),
    "the size of the reported ratio": (video(960, 960), {"aspect_ratio": "1:1"}, [], False),
    "a size of another ratio": (video(1280, 720), {"aspect_ratio": "1:1"}, ["height", "width"], False),
    "a size of no ratio": (video(1440, 560), {}, ["height", "width"], False),
    "a size of the smaller resolution": (video(640, 640), {}, ["height", "width"], True),
    "a ratio that is not listed": (video(1280, 720), {"aspect_ratio": "2:1"}, [], False),
}


@pytest.mark.parametrize(("received", "report", "fields", "is_far_off"), CHOSEN.values(), ids=CHOSEN.keys())
def test_a_video_whose_ratio_the_upstream_chose_has_one_of_the_resolutions_sizes(
    received: Video, report: dict[str, Any], fields: list[str], is_far_off: bool
) -> None:
    found = compared(received, **ADAPTIVE, upstream_shape=report)
    assert (sorted(field for field in found[0] if field in ("width", "height")), found[1]) == (fields, is_far_off)


pytestmark = pytest.mark.one_database


@pytest.fixture
def service(bucket: Any, upstream: Upstream) -> Upstream:
    return upstream


def test_a_video_as_requested_says_so(alice: Caller, service: Upstream) -> None:
    service.video(mp4())
    g = take_step(make(alice))
    assert (g.status, g.video_as_requested, g.video_differences) == (Status.SUCCEEDED, True, [])
    body = alice.http.get(f"/v1/generations/{g.pk}").json()
    assert (body["video"]["as_requested"], body["video"]["differences"]) == (True, [])


def test_a_difference_is_shown_with_the_video(
    alice: Caller, service: Upstream, django_capture_on_commit_callbacks: Any
) -> None:
    service.video(mp4(), seed="77")
    counter = metrics.VIDEO_DIFFERENCES.labels("live", "seed")
    before = counter._value.get()
    g = make(alice, webhook_url="https://hooks.example.com/x")
    with django_capture_on_commit_callbacks(execute=True):
        g = take_step(g)
    difference = {"field": "seed", "requested": 7, "received": 77}
    assert (g.status, g.video_as_requested, g.video_differences) == (Status.SUCCEEDED, False, [difference])
    assert ledger_kinds(g) == ["hold", "capture"]
    last = g.events.last()
    assert last is not None
    assert last.message == "the video is not as requested: seed 77 instead of 7"
    shown = {"as_requested": False, "differences": [difference]}
    video_json = alice.http.get(f"/v1/generations/{g.pk}").json()["video"]
    assert {name: video_json[name] for name in shown} == shown
    assert json.loads(Delivery.objects.get(generation=g).body)["data"]["video"] == shown
    task = alice.http.get(f"/v3/async/task-result?task_id={g.pk}").json()
    assert (task["task"]["status"], set(task["videos"][0])) == (
        "TASK_STATUS_SUCCEED",
        {"video_url", "video_url_ttl", "video_type"},
    )
    assert counter._value.get() == before + 1


@pytest.mark.parametrize(
    ("size", "resolution", "duration", "message"),
    [
        ((320, 240, 241), "480p", 10, "width 320 instead of 864, height 240 instead of 480"),
        ((1920, 1088, 25), "480p", 10, "duration 1.042 instead of 10"),
        ((864, 480, 121), "1080p", 10, "duration 5.042 instead of 10"),
    ],
)
def test_a_video_that_is_far_off_is_not_delivered_and_not_charged(
    alice: Caller, service: Upstream, size: tuple[int, int, int], resolution: str, duration: int, message: str
) -> None:
    service.video(rendered(*size))
    g = take_step(make(alice, resolution, duration=duration))
    assert (g.status, g.error_code, g.video_as_requested) == (Status.FAILED, "video_mismatch", False)
    assert message in g.error_message
    assert ledger_kinds(g) == ["hold", "release"]
    assert objects.exists(g.video_key)
    body = alice.http.get(f"/v1/generations/{g.pk}").json()
    assert (body["status"], body["video"], body["poster"], body["error"]["code"]) == (
        *("failed", None, None),
        "video_mismatch",
    )
    assert g.video_key not in json.dumps(body)
    assert alice.http.get(f"/v1/generations/{g.pk}/video").status_code == 409
    assert alice.http.get(f"/v1/generations/{g.pk}/poster").status_code == 409
    task = alice.http.get(f"/v3/async/task-result?task_id={g.pk}").json()
    assert (task["task"]["status"], task["videos"]) == ("TASK_STATUS_FAILED", [])
    assert take_step(g).status == Status.FAILED
    assert len(service.submits) == 1


def test_a_video_is_compared_as_it_is_shown(alice: Caller, service: Upstream) -> None:
    service.video(with_matrix(remux(mp4()), 0, 1, -1, 0))
    g = take_step(make(alice, ratio="9:16"))
    assert (g.status, g.video_as_requested) == (Status.SUCCEEDED, True)


def mismatched(caller: Caller, upstream: Upstream, days: float = 0) -> Generation:
    """Return a generation whose video was far off, and which ended so many days ago."""
    upstream.video(rendered(320, 240, 121))
    g = take_step(make(caller))
    Generation.objects.filter(pk=g.pk).update(finished_at=timezone.now() - timedelta(days=days))
    return g


def prune(*, dry: bool = False) -> tuple[int, int]:
    [result] = [result for result in pruning.run(dry=dry) if result.what == "mismatched"]
    return result.count, result.bytes


def test_the_file_of_a_mismatch_is_stored_for_a_week(alice: Caller, service: Upstream) -> None:
    old, young = mismatched(alice, service, 7.1), mismatched(alice, service, 6.9)
    assert prune(dry=True) == prune() == (1, old.video_size)
    assert prune() == (0, 0)
    assert [objects.exists(key) for key in (old.video_key, old.poster_key, young.video_key)] == [False, False, True]
    old.refresh_from_db()
    assert not old.has_mismatched_file
    assert alice.http.get(f"/v1/generations/{old.pk}").json()["expired_at"] is None


def test_a_caller_deletes_the_file_of_a_mismatch_too(alice: Caller, service: Upstream) -> None:
    g = mismatched(alice, service)
    assert deletion.delete(g)
    assert not objects.exists(g.video_key)
    assert not Generation.objects.get(pk=g.pk).has_mismatched_file


@pytest.mark.parametrize(
    ("first", "later"),
    [({"resolution": "1080p"}, {"resolution": "480p"}), ({}, {"resolution": "1080p"}), ({"resolution": "1080p"}, {})],
    ids=["the first report counts", "reported later", "not reported again"],
)
def test_a_copy_that_is_made_again_keeps_the_reported_shape(
    alice: Caller, service: Upstream, settings: Any, first: dict[str, Any], later: dict[str, Any]
) -> None:
    lead_to(service, settings)
    g = make_running(alice)

    def report(shape: dict[str, Any]) -> None:
        nothing = {"resolution": None, "ratio": None, "duration": None}
        service.on_poll = as_json(rendered_task(f"{service.url}/video.mp4", seed=7, **{**nothing, **shape}))

    report(first)
    service.on_video = 500, {}, b""
    g = take_steps_until(g, Status.COPYING)
    report(later)
    service.on_video = 200, {"Content-Type": "video/mp4"}, mp4()
    g = take_step(g)
    assert (g.status, g.upstream_shape) == (Status.SUCCEEDED, {"resolution": "1080p"})
    difference = {"field": "resolution", "requested": 480, "received": 1080}
    assert alice.http.get(f"/v1/generations/{g.pk}").json()["video"]["differences"] == [difference]
