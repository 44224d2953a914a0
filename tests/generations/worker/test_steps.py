"""SUBMIT, POLL and COPY against an upstream on a socket and an S3 in this process."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import OperationalError, connection
from django.db.models import F
from django.utils import timezone

from generations import leases, lifecycle
from generations.bucket import inputs, objects
from generations.media.images import inspect
from generations.models import Generation
from generations.upstream import circuit_breaker
from generations.worker import claims, steps
from tenants.models import LedgerEntry
from tests.support.factories import Caller, make_generation
from tests.support.images import base64_of, data_uri, image_bytes, mp4
from tests.support.upstream import Upstream, refusal, task
from tests.support.worker import claim_due

pytestmark = pytest.mark.one_database

Status = Generation.Status


@pytest.fixture
def queued(alice: Caller, bucket: Any, upstream: Upstream) -> Generation:
    return make_generation(alice, image=inputs.store(alice.tenant.pk, inspect(image_bytes())), seed=1234)


def take_a_step(generation: Generation) -> Generation:
    """As the sweep does it: claim, advance, look."""
    Generation.objects.filter(pk=generation.pk, due_at__isnull=False).update(due_at=timezone.now())
    for claimed in claim_due(10):
        steps.advance(claimed)
    return Generation.objects.select_related("image").get(pk=generation.pk)


def until(generation: Generation, *statuses: str) -> Generation:
    for _ in range(5):
        generation = take_a_step(generation)
        if generation.status in statuses:
            return generation
    raise AssertionError(f"it is {generation.status}")


def due_in(generation: Generation) -> float:
    assert generation.due_at is not None
    return (generation.due_at - timezone.now()).total_seconds()


# Submit


def test_a_submit_sends_exactly_what_was_recorded(queued: Generation, upstream: Upstream) -> None:
    g = take_a_step(queued)
    assert (g.status, g.upstream_id) == (Status.RUNNING, "upstream-1")
    assert upstream.submits == [
        {
            "image": data_uri(image_bytes()),
            "prompt": "",
            "resolution": "480p",
            "aspect_ratio": "16:9",
            "duration": 5,
            "camera_fixed": False,
            "seed": 1234,
        }
    ]
    assert 1.5 < due_in(g) <= 2.0
    [attempt] = g.attempts.all()
    assert (attempt.outcome, attempt.detail) == ("created", "upstream-1")


@pytest.mark.django_db(transaction=True)
def test_the_attempt_is_on_record_before_the_upstream_hears_of_it(queued: Generation, upstream: Upstream) -> None:
    seen: list[Any] = []

    def look(handler: Any) -> Any:
        """In the upstream's thread, over a connection of its own: it sees only what was committed."""
        g = Generation.objects.get(pk=queued.pk)
        seen.append((g.status, g.attempts.count()))
        connection.close()
        return refusal(429, "RATE_LIMIT_EXCEEDED")

    upstream.on_submit = look
    take_a_step(queued)
    assert seen == [("submitting", 1)]


def test_a_refused_generation_fails_with_the_upstreams_reason_and_is_released(
    queued: Generation, upstream: Upstream
) -> None:
    upstream.on_submit = refusal(400, "ILLEGAL_PROMPT")
    g = take_a_step(queued)
    assert (g.status, g.error_code) == (Status.FAILED, "upstream_refused")
    assert "ILLEGAL_PROMPT" in g.error_message
    assert kinds(g) == ["hold", "release"]


def test_what_was_surely_not_created_waits_with_its_hold_and_is_sent_again(
    queued: Generation, upstream: Upstream
) -> None:
    upstream.on_submit = refusal(429, "RATE_LIMIT_EXCEEDED", **{"Retry-After": "30"})
    g = take_a_step(queued)
    assert g.status == Status.QUEUED
    assert 29 < due_in(g) <= 30
    upstream.on_submit = lambda handler: (200, {}, b'{"task_id": "second"}')
    circuit_breaker.resume(test=False)
    g = take_a_step(g)
    assert (g.status, g.upstream_id) == (Status.RUNNING, "second")
    assert [attempt.outcome for attempt in g.attempts.order_by("number")] == ["not_created", "created"]
    assert kinds(g) == ["hold"]


def test_pauses_between_tries_grow_and_end_at_a_minute(queued: Generation, upstream: Upstream) -> None:
    upstream.on_submit = refusal(403, "NOT_ENOUGH_BALANCE")
    pauses = []
    for _ in range(8):
        circuit_breaker.resume(test=False)  # the job's own pauses; those of all jobs are the breaker's
        pauses.append(round(due_in(take_a_step(queued))))
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60]


def test_a_lost_answer_is_in_doubt_and_never_sent_again(queued: Generation, upstream: Upstream) -> None:
    upstream.on_submit = lambda handler: None
    g = take_a_step(queued)
    assert g.status == Status.IN_DOUBT
    g = take_a_step(g)  # its tenant's policy is to hold it
    assert 23 * 3600 < due_in(g) <= 24 * 3600
    assert len(upstream.submits) == 1
    with time_machine.travel(timezone.now() + timedelta(hours=24), tick=False):
        g = take_a_step(g)
    assert (g.status, g.error_code) == (Status.FAILED, "submit_unconfirmed")
    assert len(upstream.submits) == 1
    assert kinds(g) == ["hold", "release"]


def test_a_known_answer_outlasts_a_database_that_is_away_for_a_moment(
    queued: Generation, upstream: Upstream, monkeypatch: Any
) -> None:
    tried, record = [], steps._record

    def away(*args: Any) -> None:
        tried.append(args)
        if len(tried) < 3:
            raise OperationalError("the server closed the connection")
        record(*args)

    monkeypatch.setattr(steps, "_record", away)
    monkeypatch.setattr(steps.time, "sleep", lambda seconds: None)
    g = take_a_step(queued)
    assert (g.status, len(tried), len(upstream.submits)) == (Status.RUNNING, 3, 1)


def test_a_worker_lost_while_submitting_leaves_doubt_and_no_second_submit(
    queued: Generation, upstream: Upstream
) -> None:
    [claimed] = claim_due(1)
    assert lifecycle.start_submitting(claimed)
    g = take_a_step(queued)
    assert g.status == Status.IN_DOUBT
    assert upstream.submits == []


def test_two_workers_with_one_row_submit_it_once(queued: Generation, upstream: Upstream) -> None:
    [first] = claim_due(1)
    Generation.objects.filter(pk=queued.pk).update(due_at=timezone.now())
    [second] = claim_due(1)
    steps.advance(second)
    steps.advance(first)
    assert len(upstream.submits) == 1


def test_a_picture_that_the_bucket_gives_wrong_is_not_paid_for(
    queued: Generation, upstream: Upstream, bucket: Any
) -> None:
    assert queued.image is not None
    bucket.put_object(Bucket="seedance-tests", Key=queued.image.key, Body=b"abd")
    g = take_a_step(queued)
    assert (g.status, g.consecutive_failures) == (Status.QUEUED, 1)
    assert upstream.submits == []


def test_a_store_that_is_down_delays_a_submit_and_loses_nothing(
    queued: Generation, upstream: Upstream, settings: Any
) -> None:
    settings.S3_BUCKET = "not-there"
    g = take_a_step(queued)
    assert (g.status, g.consecutive_failures) == (Status.QUEUED, 1)
    assert upstream.submits == []


def test_large_pictures_wait_for_room_and_small_ones_do_not(
    queued: Generation, alice: Caller, upstream: Upstream, monkeypatch: Any
) -> None:
    monkeypatch.setattr(leases, "MEMORY_WAIT_SECONDS", 0.01)
    large = inputs.store(alice.tenant.pk, inspect(image_bytes(kind="PNG") + b"\0" * (steps.LARGE + 1)))
    waiting = make_generation(alice, image=large)
    with steps._large, steps._large:
        assert take_a_step(queued).status == Status.RUNNING
        assert take_a_step(waiting).status == Status.QUEUED
    assert take_a_step(waiting).status == Status.RUNNING
    assert len(upstream.submits) == 2


@pytest.mark.parametrize("tries", [0, 8])
def test_an_error_that_nobody_expected_is_tried_again(queued: Generation, tries: int) -> None:
    Generation.objects.filter(pk=queued.pk).update(consecutive_failures=tries)
    [claimed] = claim(queued)
    steps.recover(claimed)
    g = Generation.objects.get(pk=queued.pk)
    assert (g.status, g.consecutive_failures) == (Status.QUEUED, tries + 1)


def test_an_error_that_nobody_expected_is_not_tried_for_ever(queued: Generation) -> None:
    Generation.objects.filter(pk=queued.pk).update(consecutive_failures=9)
    [claimed] = claim(queued)
    steps.recover(claimed)
    g = Generation.objects.get(pk=queued.pk)
    assert (g.status, g.error_code) == (Status.FAILED, "internal_error")
    assert kinds(g) == ["hold", "release"]


def test_an_unexpected_error_while_submitting_leaves_the_row_to_its_lease(queued: Generation) -> None:
    [claimed] = claim(queued)
    lifecycle.start_submitting(claimed)
    before = Generation.objects.filter(pk=queued.pk).values().get()
    steps.recover(claimed)
    assert Generation.objects.filter(pk=queued.pk).values().get() == before


# Images by URL


@pytest.fixture
def by_url(alice: Caller, bucket: Any, upstream: Upstream) -> Generation:
    upstream.on_video = 200, {"Content-Type": "text/plain"}, image_bytes(kind="PNG")
    return make_generation(alice, image=None, image_url=f"{upstream.url}/a.jpg")


def test_a_picture_behind_a_url_is_kept_and_goes_upstream_as_a_data_uri(by_url: Generation, upstream: Upstream) -> None:
    g = take_a_step(by_url)
    content = image_bytes(kind="PNG")
    sha256 = hashlib.sha256(content).hexdigest()
    assert upstream.submits[0]["image"] == data_uri(content, "png")
    assert g.image is not None
    assert (g.image.sha256, g.image.key) == (sha256, f"inputs/{g.tenant_id}/{sha256}")
    assert objects.read(g.image.key) == content


def test_first_and_last_pictures_may_be_the_same(by_url: Generation, upstream: Upstream) -> None:
    Generation.objects.filter(pk=by_url.pk).update(last_image_url=by_url.image_url)
    g = take_a_step(by_url)
    assert g.image_id == g.last_image_id
    assert upstream.submits[0]["last_image"] == upstream.submits[0]["image"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"<html>", "image_format_unknown"),
        (image_bytes(width=300), "image_side_too_short"),
        (image_bytes(kind="PNG")[:-20], "image_incomplete"),
    ],
)
def test_a_bad_picture_behind_a_url_fails_the_generation_with_a_code(
    by_url: Generation, upstream: Upstream, content: bytes, code: str
) -> None:
    upstream.on_video = 200, {}, content
    g = take_a_step(by_url)
    assert (g.status, g.error_code) == (Status.FAILED, code)
    assert upstream.submits == []
    assert kinds(g) == ["hold", "release"]


def test_a_url_that_leads_inside_fails_the_generation(by_url: Generation, upstream: Upstream) -> None:
    upstream.on_video = 302, {"Location": "http://169.254.169.254/latest/meta-data"}, b""
    g = take_a_step(by_url)
    assert (g.status, g.error_code) == (Status.FAILED, "image_url_refused")
    assert "169.254" not in g.error_message


def test_a_picture_that_is_not_there_is_asked_for_four_times(by_url: Generation, upstream: Upstream) -> None:
    upstream.on_video = 404, {}, b""
    states = [take_a_step(by_url).status for _ in range(4)]
    assert states == [Status.QUEUED] * 3 + [Status.FAILED]
    assert Generation.objects.get(pk=by_url.pk).error_code == "image_unreachable"


# Poll


@pytest.fixture
def running(queued: Generation) -> Generation:
    return until(queued, Status.RUNNING)


def test_a_poll_takes_the_progress_and_comes_back(running: Generation, upstream: Upstream) -> None:
    g = take_a_step(running)
    assert (g.status, g.progress_percent) == (Status.RUNNING, 40)
    assert upstream.polls == ["upstream-1"]
    assert 1.5 < due_in(g) <= 2.0


def test_what_a_poll_does_not_need_is_read_where_it_is_over(running: Generation, upstream: Upstream) -> None:
    Generation.objects.update(due_at=timezone.now())
    [claimed] = claims.polls(1)
    assert {"prompt", "metadata", "image_id"} <= claimed.get_deferred_fields()
    steps.poll(claimed)
    assert "prompt" in claimed.get_deferred_fields()
    copied = []
    upstream.video(b"")
    Generation.objects.update(due_at=timezone.now())
    [claimed] = claims.polls(1)
    steps.poll(
        claimed,
        copy=lambda generation, url: copied.append((generation.get_deferred_fields(), generation.fencing_token)),
    )
    assert copied == [(set(), claimed.fencing_token)]
    assert claimed.prompt == running.prompt


@pytest.mark.parametrize(
    "answer",
    [refusal(404, "TASK_NOT_FOUND"), refusal(500, "GET_RESULT_FAILED"), (200, {}, b"?"), task("TASK_STATUS_UNKNOWN")],
)
def test_garbage_is_not_yet(running: Generation, upstream: Upstream, answer: Any) -> None:
    upstream.on_poll = answer
    assert take_a_step(running).status == Status.RUNNING


def test_only_an_explicit_failure_fails(running: Generation, upstream: Upstream) -> None:
    upstream.on_poll = task("TASK_STATUS_FAILED", reason="the picture is not nice")
    g = take_a_step(running)
    assert (g.status, g.error_code) == (Status.FAILED, "upstream_failed")
    assert "the picture is not nice" in g.error_message


@pytest.mark.parametrize(
    ("age", "seconds"),
    [(0, 2.0), (19, 2.0), (90, 3.0), (240, 8.0), (420, 14.0), (3000, 14.0), (3601, 300.0), (80000, 300.0)],
)
def test_polls_grow_rarer_with_age(age: int, seconds: float) -> None:
    assert steps.poll_interval(timedelta(seconds=age)) == seconds


def test_after_a_day_without_a_result_it_fails(running: Generation) -> None:
    Generation.objects.filter(pk=running.pk).update(submitted_at=timezone.now() - timedelta(hours=25))
    g = take_a_step(running)
    assert (g.status, g.error_code) == (Status.FAILED, "upstream_gave_no_result")


@pytest.mark.parametrize(
    "answer", [refusal(403, "INVALID_API_KEY"), (200, {}, b"?")], ids=["our key is refused", "garbage"]
)
def test_the_trouble_with_a_poll_is_told_to_ops(
    running: Generation, upstream: Upstream, caplog: Any, answer: Any
) -> None:
    upstream.on_poll = answer
    events = running.events.count()
    for _ in range(3):
        running = take_a_step(running)
    assert caplog.text.count("WARNING") >= 3
    assert running.events.count() == events + 1  # the first of a row; the rest are in the log
    assert running.consecutive_failures == 3


def test_a_late_success_is_still_taken(running: Generation, upstream: Upstream) -> None:
    Generation.objects.filter(pk=running.pk).update(submitted_at=timezone.now() - timedelta(hours=25))
    upstream.video(mp4())
    assert take_a_step(running).status == Status.SUCCEEDED


# Copy


def test_a_video_is_copied_verified_and_described(running: Generation, upstream: Upstream) -> None:
    upstream.video(mp4())
    g = take_a_step(running)
    assert g.status == Status.SUCCEEDED
    name = f"videos/{g.tenant_id}/{g.created_at:%Y/%m}/{g.pk}-{g.fencing_token}"
    assert (g.video_key, g.poster_key) == (f"{name}.mp4", f"{name}.jpg")
    assert (g.video_size, g.video_sha256) == (len(mp4()), hashlib.sha256(mp4()).hexdigest())
    assert (g.video_codec, g.video_width, g.video_height, g.video_fps) == ("h264", 160, 90, 24.0)
    assert g.video_duration == pytest.approx(25 / 24)
    assert objects.read(g.video_key) == mp4()
    assert objects.read(g.poster_key)[:2] == b"\xff\xd8"
    assert (g.seed, g.upstream_seed) == (1234, 77)
    assert kinds(g) == ["hold", "capture"]


def chunked(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    handler.wfile.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(mp4()), mp4()))


def test_a_video_of_unknown_length_is_copied_too(running: Generation, upstream: Upstream) -> None:
    upstream.video(mp4())
    upstream.on_video = chunked
    g = take_a_step(running)
    assert g.status == Status.SUCCEEDED
    assert objects.read(g.video_key) == mp4()


def cut(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(mp4()), mp4()[:-500]))
    handler.close_connection = True


def cut_without_length(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n" + mp4()[:-500])
    handler.close_connection = True


@pytest.mark.parametrize(
    "answer",
    [
        cut,
        cut_without_length,
        (200, {}, b""),
        (200, {"Content-Type": "video/mp4"}, b"<html>expired</html>"),
        (200, {}, mp4()[: len(mp4()) // 2]),
        (200, {"Content-Length": "10"}, mp4()),
        (403, {}, b"expired"),
        (404, {}, b""),
        (500, {}, b""),
        (302, {"Location": "http://10.0.0.1/v.mp4"}, b""),
        (200, {"Content-Encoding": "gzip"}, b"x"),
        lambda handler: None,
    ],
)
def test_bytes_that_are_not_the_whole_video_are_never_served(
    running: Generation, upstream: Upstream, answer: Any
) -> None:
    upstream.video(mp4())
    upstream.on_video = answer
    g = take_a_step(running)
    assert (g.status, g.video_key, g.consecutive_failures) == (Status.COPYING, "", 1)
    assert objects.list_keys("videos/") == []
    # A fresh URL, later, and the copy is whole.
    upstream.on_video = 200, {}, mp4()
    assert take_a_step(g).status == Status.SUCCEEDED
    assert len(upstream.submits) == 1


def test_an_object_left_by_a_copy_that_died_is_not_taken_for_the_video(running: Generation, upstream: Upstream) -> None:
    left = f"videos/{running.tenant_id}/{running.created_at:%Y/%m}/{running.pk}-{running.fencing_token}.mp4"
    objects.put(left, b"half a video", "video/mp4")
    upstream.video(mp4())
    g = take_a_step(running)
    assert g.status == Status.SUCCEEDED
    assert objects.read(g.video_key) == mp4()
    assert left not in objects.list_keys("videos/")


def test_a_store_that_is_down_delays_a_copy_and_loses_nothing(
    running: Generation, upstream: Upstream, settings: Any
) -> None:
    upstream.video(mp4())
    settings.S3_BUCKET = "not-there"
    assert take_a_step(running).status == Status.COPYING
    settings.S3_BUCKET = "seedance-tests"
    assert take_a_step(running).status == Status.SUCCEEDED


@pytest.mark.django_db(transaction=True)
def test_a_copy_that_lost_its_turn_stops_and_leaves_no_object(
    running: Generation, upstream: Upstream, monkeypatch: Any
) -> None:
    monkeypatch.setattr(leases, "COPY_RENEWAL_SECONDS", -1.0)  # renew with every chunk

    def steal(handler: Any) -> Any:
        """Another worker claims the row while this one's copy has begun."""
        Generation.objects.filter(pk=running.pk).update(fencing_token=F("fencing_token") + 1)
        connection.close()
        return 200, {}, mp4()

    upstream.video(mp4())
    upstream.on_video = steal
    g = take_a_step(running)
    assert g.status == Status.COPYING
    assert objects.list_keys("videos/") == []


@pytest.mark.django_db(transaction=True)
def test_a_stale_worker_does_not_delete_what_another_has_stored(
    running: Generation, upstream: Upstream, monkeypatch: Any
) -> None:
    """A stalls while it looks for a leftover; B copies and succeeds; A wakes up."""
    upstream.video(mp4())
    [stale] = claim(running)
    assert lifecycle.start_copying(stale, 77)
    look = objects.list_keys

    def stall(prefix: str) -> list[str]:
        monkeypatch.setattr(objects, "list_keys", look)
        assert take_a_step(running).status == Status.SUCCEEDED
        return look(prefix)

    monkeypatch.setattr(objects, "list_keys", stall)
    steps.copy_from(stale, f"{upstream.url}/video.mp4")
    g = Generation.objects.get(pk=running.pk)
    assert g.status == Status.SUCCEEDED
    assert objects.read(g.video_key) == mp4()


def test_the_upstreams_url_is_not_logged(running: Generation, upstream: Upstream, caplog: Any) -> None:
    upstream.video(mp4())
    upstream.on_video = 403, {}, b""
    take_a_step(running)
    upstream.on_video = 200, {}, mp4()
    take_a_step(running)
    assert "upstreamsecret" not in caplog.text


def claim(generation: Generation) -> list[Generation]:
    Generation.objects.filter(pk=generation.pk).update(due_at=timezone.now())
    return claim_due(1)


def kinds(generation: Generation) -> list[str]:
    return list(LedgerEntry.objects.filter(generation_id=generation.pk).order_by("id").values_list("kind", flat=True))


def created(caller: Caller) -> Generation:
    body = {"image": base64_of(image_bytes()), "resolution": "480p"}
    return Generation.objects.get(pk=caller.http.post("/v1/generations", body, format="json").json()["id"])


def test_a_picture_that_was_deleted_since_is_kept_again_when_it_comes_again(
    alice: Caller, upstream: Upstream, bucket: Any
) -> None:
    first = created(alice)
    assert first.image is not None
    bucket.delete_object(Bucket="seedance-tests", Key=first.image.key)
    again = created(alice)
    assert again.image == first.image
    assert take_a_step(again).status == Status.RUNNING


def test_a_picture_that_is_gone_for_good_does_not_keep_its_job_and_its_hold_for_ever(
    alice: Caller, upstream: Upstream, bucket: Any
) -> None:
    g = created(alice)
    assert g.image is not None
    bucket.delete_object(Bucket="seedance-tests", Key=g.image.key)
    assert take_a_step(g).status == Status.QUEUED
    with time_machine.travel(timezone.now() + timedelta(hours=1), tick=False):
        g = take_a_step(g)
    assert (g.status, g.error_code, kinds(g)) == (Status.FAILED, "storage_unavailable", ["hold", "release"])
    assert upstream.submits == []
