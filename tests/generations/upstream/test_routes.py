"""A route that the upstream no longer has holds the submits of its model alone; the others go on."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from generations.bucket import inputs
from generations.catalog import video_models
from generations.media.images import inspect
from generations.models import Generation, ManualPause, Pause
from generations.ops import model_states, submit_pauses
from generations.upstream import circuit_breaker, manual_pauses, routes
from tenants.audit import Actor
from tests.support.factories import Caller, make_generation
from tests.support.images import image_bytes
from tests.support.upstream import Upstream, as_json, refusal
from tests.support.worker import ledger_kinds, take_step

pytestmark = pytest.mark.one_database

LITE, PRO = "seedance-v1-lite-i2v", "seedance-v1-pro-i2v"
OLGA = Actor(name="olga", reason="the vendor's notice")
GONE = {"the reason": refusal(404, "API_NOT_FOUND"), "the text": (404, {}, b"404 Route Not Found")}


@pytest.fixture
def two(alice: Caller, bucket: Any, upstream: Upstream) -> tuple[Generation, Generation]:
    """Return a queued generation of a model whose route is gone, and one of another model."""
    image = inputs.store(alice.tenant.pk, inspect(image_bytes()))

    def answer(handler: Any) -> Any:
        """Answer as if one route were gone."""
        gone = handler.path == f"/v3/async/{LITE}"
        return GONE["the reason"] if gone else as_json({"task_id": f"upstream-{len(upstream.submits)}"})

    upstream.on_submit = answer
    first, second = (make_generation(alice, image=image, model=model) for model in (LITE, PRO))
    return first, second


def put_off(generation: Generation) -> None:
    """Let the generation be due in an hour."""
    Generation.objects.filter(pk=generation.pk).update(due_at=timezone.now() + timedelta(hours=1))


@pytest.mark.parametrize("answer", GONE)
def test_the_model_waits_with_its_hold_and_the_other_goes_on(
    two: tuple[Generation, Generation], upstream: Upstream, caplog: Any, answer: str
) -> None:
    gone, other = two
    upstream.on_submit, whole = GONE[answer], upstream.on_submit
    put_off(other)
    gone = take_step(gone)
    assert (gone.status, ledger_kinds(gone)) == ("queued", ["hold"])
    [pause] = ManualPause.objects.all()
    assert (pause.scope, pause.target, pause.actor, pause.reason) == (
        "model",
        f"{LITE}@novita",
        manual_pauses.SERVICE,
        routes.GONE,
    )
    assert not Pause.objects.exists()
    [alarm] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "the route of a model is gone" in alarm.getMessage()
    upstream.on_submit = whole
    assert take_step(other).status == "running"
    gone = take_step(gone)
    assert [event.message for event in gone.events.all()][-1] == manual_pauses.ROUTE_GONE
    assert [attempt.outcome for attempt in gone.attempts.all()] == ["route_gone"]
    assert len(upstream.submits) == 2  # one of each model


def test_a_retirement_fails_what_waits_and_ends_the_pause(
    two: tuple[Generation, Generation], upstream: Upstream
) -> None:
    gone = take_step(two[0])
    model_states.retire(OLGA, video_models.models()[LITE], PRO)
    gone = take_step(gone)
    assert (gone.status, gone.error_code, ledger_kinds(gone)) == ("failed", "model_retired", ["hold", "release"])
    assert not ManualPause.objects.exists()


def test_an_operator_resumes_and_it_is_sent_again(two: tuple[Generation, Generation], upstream: Upstream) -> None:
    gone = take_step(take_step(two[0]))
    upstream.on_submit = as_json({"task_id": "back"})
    assert submit_pauses.resume_submits(OLGA, ManualPause.Scope.MODEL, LITE) == 1
    assert take_step(gone).status == "running"


def test_a_route_is_asked_again_each_minute_by_one_submit_and_goes_on_when_it_lives(
    two: tuple[Generation, Generation], alice: Caller, upstream: Upstream
) -> None:
    put_off(two[1])
    gone = take_step(two[0])
    waiting = make_generation(alice, image=gone.image, model=LITE)
    take_step(waiting)  # and the first one: both are held
    assert len(upstream.submits) == 1
    for count in (2, 3):
        ManualPause.objects.update(since=timezone.now() - timedelta(seconds=61))
        Generation.objects.filter(model=LITE).update(due_at=timezone.now())
        take_step(waiting)
        assert len(upstream.submits) == count  # one of the two asked again
        assert ManualPause.objects.count() == 1
    upstream.on_submit = as_json({"task_id": "it lives"})
    ManualPause.objects.update(since=timezone.now() - timedelta(seconds=61))
    assert take_step(waiting).status == "running"
    assert not ManualPause.objects.exists()
    gone.refresh_from_db()
    assert gone.outage_since is None
    assert gone.due_at <= timezone.now() + timedelta(seconds=10)  # the one that asked last waits for its own next try


def test_a_route_that_stays_gone_fails_no_generation_by_its_deadline(
    two: tuple[Generation, Generation], upstream: Upstream, settings: Any
) -> None:
    settings.SUBMIT_DEADLINE = 0
    gone = take_step(two[0])
    for _ in range(3):
        submit_pauses.resume_submits(OLGA, ManualPause.Scope.MODEL, LITE)
        gone = take_step(gone)
    assert (gone.status, gone.attempts.count()) == ("queued", 4)


def test_a_gone_route_of_the_sandbox_holds_no_live_generation(
    two: tuple[Generation, Generation], upstream: Upstream
) -> None:
    routes.pause(LITE, "sandbox", "API_NOT_FOUND")
    put_off(two[1])
    upstream.on_submit = as_json({"task_id": "created"})
    assert take_step(two[0]).status == "running"


def test_the_answer_about_a_route_gives_the_probe_of_an_open_circuit_back(
    two: tuple[Generation, Generation], upstream: Upstream
) -> None:
    circuit_breaker.pause("novita", "no balance")
    Pause.objects.update(probe_at=two[0].created_at)
    put_off(two[1])
    take_step(two[0])
    assert Pause.objects.get().probe_sent_at is None
    assert circuit_breaker.seconds_until_submit("novita") == 0
