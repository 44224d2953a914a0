"""An error on our side never fails a generation: submits pause, and generations wait with their holds."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.utils import timezone

from generations.models import Attempt, Generation, Pause
from generations.upstream import circuit_breaker
from generations.worker import held_submits, steps
from tenants.models import LedgerEntry
from tests.support.factories import Caller, make_generation, make_image
from tests.support.upstream import Upstream, as_json, refusal
from tests.support.worker import claim_due

pytestmark = pytest.mark.one_database

ACCOUNT_ERRORS = {
    "our key": refusal(403, "INVALID_API_KEY"),
    "our balance": refusal(403, "NOT_ENOUGH_BALANCE"),
    "our rate": refusal(429, "RATE_LIMIT_EXCEEDED"),
}


@pytest.fixture
def queued(alice: Caller, bucket: Any) -> list[Generation]:
    """Return five queued generations with one image."""
    image = make_image(alice.tenant)
    bucket.put_object(Bucket="seedance-tests", Key=image.key, Body=b"abc")
    return [make_generation(alice, image=image) for _ in range(5)]


def take_due_steps() -> None:
    """Take one step of each row that is due."""
    for generation in claim_due(100):
        steps.advance(generation)


@pytest.mark.parametrize("error", ACCOUNT_ERRORS)
def test_one_refusal_of_our_account_pauses_all_submits_and_fails_none(
    queued: list[Generation], upstream: Upstream, error: str
) -> None:
    upstream.on_submit = ACCOUNT_ERRORS[error]
    start = timezone.now()
    for minute in range(30):
        with time_machine.travel(start + timedelta(minutes=minute), tick=False):
            take_due_steps()
    assert set(Generation.objects.values_list("status", flat=True)) == {"queued"}
    assert set(LedgerEntry.objects.values_list("kind", flat=True)) == {"hold"}
    assert 1 < len(upstream.submits) <= 30  # probes, one at a time; five submits a minute would be 150
    pause = Pause.objects.get()
    assert pause.upstream == "novita"
    upstream.on_submit = lambda handler: as_json({"task_id": f"upstream-{len(upstream.submits)}"})
    for minute in range(30, 40):
        with time_machine.travel(start + timedelta(minutes=minute), tick=False):
            take_due_steps()
    assert not Pause.objects.exists()
    assert set(Generation.objects.values_list("status", flat=True)) == {"running"}
    assert Attempt.objects.filter(outcome="created").count() == 5


def test_operators_see_the_pause_with_the_upstreams_reason(
    queued: list[Generation], upstream: Upstream, admin_client: Any, caplog: Any
) -> None:
    upstream.on_submit = refusal(403, "NOT_ENOUGH_BALANCE")
    take_due_steps()
    assert (
        "NOT_ENOUGH_BALANCE: about NOT_ENOUGH_BALANCE" in admin_client.get("/admin/generations/pause/").content.decode()
    )
    [alarm] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "submits are paused" in alarm.getMessage()
    assert "NOT_ENOUGH_BALANCE: about" in alarm.getMessage()


def test_retry_after_is_obeyed(queued: list[Generation], upstream: Upstream) -> None:
    upstream.on_submit = refusal(429, "RATE_LIMIT_EXCEEDED", **{"Retry-After": "120"})
    with time_machine.travel(timezone.now(), tick=False) as clock:
        take_due_steps()
        for _ in range(11):
            clock.shift(10)
            take_due_steps()
        assert len(upstream.submits) == 1
        clock.shift(30)
        take_due_steps()
        assert len(upstream.submits) == 2


def test_an_outage_leaves_one_generation_in_doubt_and_not_one_after_the_other(
    queued: list[Generation], upstream: Upstream
) -> None:
    upstream.on_submit = (502, {}, b"bad gateway")
    take_due_steps()
    statuses = sorted(Generation.objects.values_list("status", flat=True))
    assert statuses == ["in_doubt", "queued", "queued", "queued", "queued"]


def test_a_pause_that_is_longer_than_the_deadline_fails_nothing_and_the_next_429_neither(
    queued: list[Generation], upstream: Upstream, settings: Any
) -> None:
    upstream.on_submit = refusal(403, "NOT_ENOUGH_BALANCE")
    settings.SUBMIT_DEADLINE = 600
    start = timezone.now()
    with time_machine.travel(start, tick=False) as clock:
        for _ in range(14):
            take_due_steps()
            clock.shift(60)
        upstream.on_submit = lambda handler: as_json({"task_id": f"upstream-{len(upstream.submits)}"})
        take_due_steps()
        clock.shift(6)
        upstream.on_submit = refusal(429, "RATE_LIMIT_EXCEEDED", **{"Retry-After": "6"})
        make_generation(Caller(queued[0].tenant))
        take_due_steps()
        upstream.on_submit = lambda handler: as_json({"task_id": f"upstream-{len(upstream.submits)}"})
        for _ in range(10):
            clock.shift(6)
            take_due_steps()
    assert set(Generation.objects.values_list("status", flat=True)) == {"running"}


def test_a_generation_that_is_refused_while_others_are_taken_fails_by_its_deadline(
    queued: list[Generation], upstream: Upstream, settings: Any
) -> None:
    settings.SUBMIT_DEADLINE = 600
    refused = queued[0].seed = 4321
    Generation.objects.filter(pk=queued[0].pk).update(seed=refused)

    def answer(handler: Any) -> Any:
        if upstream.submits[-1]["seed"] == refused:
            return refusal(429, "RATE_LIMIT_EXCEEDED")
        return as_json({"task_id": f"upstream-{len(upstream.submits)}"})

    upstream.on_submit = answer
    with time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(25):
            take_due_steps()
            held_submits.resume("novita")  # as the submit of another host does
            clock.shift(30)
    g = Generation.objects.get(pk=queued[0].pk)
    assert (g.status, g.error_code) == ("failed", "upstream_unavailable")
    assert LedgerEntry.objects.filter(kind="release", reason="upstream_unavailable").count() == 1
    assert Generation.objects.filter(status="running").count() == 4


def test_what_waited_is_due_once_submits_go_on(queued: list[Generation], upstream: Upstream) -> None:
    upstream.on_submit = refusal(429, "RATE_LIMIT_EXCEEDED", **{"Retry-After": "300"})
    with time_machine.travel(timezone.now(), tick=False) as clock:
        take_due_steps()
        assert len(upstream.submits) == 1
        upstream.on_submit = lambda handler: as_json({"task_id": f"upstream-{len(upstream.submits)}"})
        clock.shift(10)
        Pause.objects.update(probe_at=timezone.now())
        Generation.objects.filter(pk=queued[0].pk).update(due_at=timezone.now())
        take_due_steps()  # the probe
        take_due_steps()
    assert set(Generation.objects.values_list("status", flat=True)) == {"running"}


def test_while_a_probe_is_under_way_the_others_look_again_soon(db: None) -> None:
    circuit_breaker.pause("novita", "why")
    with time_machine.travel(timezone.now() + timedelta(minutes=5), tick=False):
        assert circuit_breaker.claim_submit("novita") == 0
        assert 0 < circuit_breaker.claim_submit("novita") <= 20


def test_a_pause_that_holds_nothing_back_any_more_is_not_shown(queued: list[Generation], upstream: Upstream) -> None:
    upstream.on_submit = lambda handler: None
    Generation.objects.exclude(pk=queued[0].pk).delete()
    take_due_steps()
    assert set(circuit_breaker.find_holding()) == {"novita"}  # the next probe is in the future
    with time_machine.travel(timezone.now() + timedelta(minutes=5), tick=False):
        assert circuit_breaker.find_holding() == {}
        make_generation(Caller(queued[0].tenant))
        assert set(circuit_breaker.find_holding()) == {"novita"}


def test_a_generation_that_waited_for_a_dead_worker_is_still_submitted(
    queued: list[Generation], upstream: Upstream, settings: Any
) -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=5), tick=False):
        take_due_steps()
    assert set(Generation.objects.values_list("status", flat=True)) == {"running"}


def test_one_probe_at_a_time_is_sent(db: None) -> None:
    circuit_breaker.pause("novita", "why")
    with time_machine.travel(timezone.now() + timedelta(minutes=5), tick=False):
        waits = [circuit_breaker.claim_submit("novita") for _ in range(5)]
        assert waits[0] == 0
        assert all(seconds > 0 for seconds in waits[1:])
    with time_machine.travel(timezone.now() + timedelta(minutes=10), tick=False):
        assert circuit_breaker.claim_submit("novita") == 0  # a prober that died is forgotten


def test_a_generation_that_cannot_be_sent_claims_no_probe(
    queued: list[Generation], upstream: Upstream, bucket: Any, alice: Caller
) -> None:
    circuit_breaker.pause("novita", "why")
    broken = make_generation(alice, image=make_image(alice.tenant, b"it was deleted"))
    Generation.objects.filter(pk=broken.pk).update(due_at=timezone.now() - timedelta(hours=1))  # the first in the queue
    with time_machine.travel(timezone.now() + timedelta(minutes=2), tick=False):
        take_due_steps()
    assert len(upstream.submits) >= 1
    assert not Pause.objects.exists()


@pytest.mark.parametrize(("reason", "failed"), [("CREATE_TASK_FAILED", 0), ("TASK_FAILED", 1)])
def test_a_broken_upstream_pauses_submits_and_does_not_fail_the_queue(
    queued: list[Generation], upstream: Upstream, reason: str, failed: int
) -> None:
    upstream.on_submit = refusal(500, reason)
    take_due_steps()
    assert sorted(Generation.objects.values_list("status", flat=True)) == ["failed"] * failed + ["queued"] * (
        5 - failed
    )
    assert len(upstream.submits) == 1
    assert reason in Pause.objects.get().reason


def test_a_pause_by_a_host_whose_clock_is_ahead_is_cut_to_the_maximum(db: None) -> None:
    with time_machine.travel(timezone.now() + timedelta(hours=1), tick=False):
        circuit_breaker.pause("novita", "why")
    assert (
        circuit_breaker.claim_submit("novita") <= circuit_breaker.MAX_PAUSE_SECONDS + circuit_breaker.MIN_PROBE_SECONDS
    )


def test_a_pause_of_the_sandbox_does_not_pause_the_live_upstream(db: None) -> None:
    circuit_breaker.pause("sandbox", "why")
    assert circuit_breaker.claim_submit("novita") == 0
    assert circuit_breaker.claim_submit("sandbox") > 0
    circuit_breaker.resume("sandbox")
    assert circuit_breaker.claim_submit("sandbox") == 0
