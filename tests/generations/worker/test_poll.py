"""The poll step, against an upstream on a socket."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations.models import Generation
from generations.upstream import exchanges
from generations.worker import backoff, claims
from generations.worker.poll import poll
from tests.support.ark_generations import lead_to, make_running
from tests.support.factories import Caller
from tests.support.images import mp4
from tests.support.upstream import Upstream, refusal, task
from tests.support.worker import due_in, take_step

pytestmark = pytest.mark.one_database

Status = Generation.Status


def test_a_poll_stores_the_progress_and_is_repeated(running: Generation, upstream: Upstream) -> None:
    g = take_step(running)
    assert (g.status, g.progress_percent) == (Status.RUNNING, 40)
    assert upstream.polls == ["upstream-1"]
    assert 1.5 < due_in(g) <= 2.0


def test_columns_that_a_poll_does_not_need_are_read_when_the_rendering_is_over(
    running: Generation, upstream: Upstream
) -> None:
    Generation.objects.update(due_at=timezone.now())
    [claimed] = claims.claim_polls(1)
    assert {"prompt", "metadata", "image_id"} <= claimed.get_deferred_fields()
    poll(claimed)
    assert "prompt" in claimed.get_deferred_fields()
    copied = []
    upstream.video(b"")
    Generation.objects.update(due_at=timezone.now())
    [claimed] = claims.claim_polls(1)
    poll(
        claimed,
        copy=lambda generation, url: copied.append((generation.get_deferred_fields(), generation.fencing_token)),
    )
    assert copied == [(set(), claimed.fencing_token)]
    assert claimed.prompt == running.prompt


@pytest.mark.parametrize(
    "answer",
    [refusal(404, "TASK_NOT_FOUND"), refusal(500, "GET_RESULT_FAILED"), (200, {}, b"?"), task("TASK_STATUS_UNKNOWN")],
)
def test_an_unclear_answer_is_not_yet_a_result(running: Generation, upstream: Upstream, answer: Any) -> None:
    upstream.on_poll = answer
    assert take_step(running).status == Status.RUNNING


def test_only_an_explicit_failure_fails_the_generation(running: Generation, upstream: Upstream) -> None:
    upstream.on_poll = task("TASK_STATUS_FAILED", reason="the image is not nice")
    g = take_step(running)
    assert (g.status, g.error_code) == (Status.FAILED, "upstream_failed")
    assert "the image is not nice" in g.error_message


@pytest.mark.parametrize(
    ("age", "seconds"),
    [(0, 2.0), (19, 2.0), (90, 3.0), (240, 8.0), (420, 14.0), (3000, 14.0), (3601, 300.0), (80000, 300.0)],
)
def test_polls_grow_rarer_with_age(age: int, seconds: float) -> None:
    assert backoff.poll_interval(timedelta(seconds=age), "novita") == seconds


def test_after_a_day_without_a_result_it_fails(running: Generation) -> None:
    Generation.objects.filter(pk=running.pk).update(submitted_at=timezone.now() - timedelta(hours=25))
    g = take_step(running)
    assert (g.status, g.error_code) == (Status.FAILED, "upstream_gave_no_result")


@pytest.mark.parametrize(
    "answer", [refusal(403, "INVALID_API_KEY"), (200, {}, b"?")], ids=["our key is refused", "garbage"]
)
def test_operators_see_a_failed_poll_in_the_log_and_once_in_the_events(
    running: Generation, upstream: Upstream, caplog: Any, answer: Any
) -> None:
    upstream.on_poll = answer
    events = running.events.count()
    for _ in range(3):
        running = take_step(running)
    assert caplog.text.count("WARNING") >= 3
    assert running.events.count() == events + 1  # the first of a row; the rest are in the log
    assert running.consecutive_failures == 3


@pytest.mark.parametrize(
    "of_another",
    [
        task("TASK_STATUS_FAILED", reason="no", task_id="upstream-2"),
        task("TASK_STATUS_SUCCEED", url="http://127.0.0.1:1/video.mp4", task_id="upstream-2"),
    ],
)
def test_an_answer_about_another_task_changes_nothing_and_its_connection_is_closed(
    running: Generation, upstream: Upstream, caplog: Any, alice: Caller, of_another: Any
) -> None:
    states = []
    for answer in (task("TASK_STATUS_PROCESSING", progress=7), of_another, task("TASK_STATUS_PROCESSING", progress=8)):
        upstream.on_poll = answer
        g = take_step(running)
        is_idle = any(len(connections) for connections in exchanges.idle_connections.idle.values())
        states.append((g.status, g.progress_percent, is_idle))
    assert states == [(Status.RUNNING, 7, True), (Status.RUNNING, 7, False), (Status.RUNNING, 8, True)]
    assert "an answer is about another task" in caplog.text
    assert "upstream-2" not in alice.http.get(f"/v1/generations/{running.pk}/events").content.decode()
    assert any("upstream-2" in event.detail for event in running.events.all())


def test_a_failure_that_is_about_our_account_is_not_told_to_callers(
    running: Generation, upstream: Upstream, alice: Caller
) -> None:
    upstream.on_poll = task("TASK_STATUS_FAILED", reason="account 4711 has no balance")
    g = take_step(running)
    assert (g.status, g.error_message) == (Status.FAILED, "The upstream could not make the video.")
    assert "4711" not in alice.http.get(f"/v1/generations/{g.pk}/events").content.decode()
    assert any("4711" in event.detail for event in g.events.all())


def test_what_is_odd_about_a_finished_task_is_an_event_for_operators(running: Generation, upstream: Upstream) -> None:
    upstream.video(mp4())
    upstream.on_poll = task("TASK_STATUS_SUCCEED", url=f"{upstream.url}/video.mp4", seed="the seed")
    g = take_step(running)
    assert (g.status, g.upstream_seed) == (Status.SUCCEEDED, None)
    assert any("the seed" in event.detail for event in g.events.all())


def test_a_late_success_is_still_accepted(running: Generation, upstream: Upstream) -> None:
    Generation.objects.filter(pk=running.pk).update(submitted_at=timezone.now() - timedelta(hours=25))
    upstream.video(mp4())
    assert take_step(running).status == Status.SUCCEEDED


@pytest.mark.parametrize("setting", ["ARK_API_KEY", "ARK_BASE_URL"])
def test_a_task_at_an_account_that_the_settings_no_longer_have_waits_for_it(
    alice: Caller, upstream: Upstream, settings: Any, setting: str
) -> None:
    lead_to(upstream, settings)
    g = make_running(alice)
    before = getattr(settings, setting)
    setattr(settings, setting, "")
    g = take_step(g)
    assert (g.status, upstream.polls, g.outage_since is not None) == (Status.RUNNING, [], True)
    setattr(settings, setting, before)
    take_step(g)
    assert upstream.polls == [g.upstream_id]
