"""Many threads end one generation at the same moment: it ends once and the hold is settled once. The rows are real."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from generations import lifecycle
from generations.models import Generation
from generations.ops import in_doubt
from tenants.audit import Actor
from tenants.errors import NotPossible
from tenants.models import LedgerEntry, Window
from tenants.money import reconcile
from tests.generations.test_lifecycle import VIDEO, put_in
from tests.support import attempts
from tests.support.factories import Caller, make_generation

pytestmark = pytest.mark.django_db(transaction=True)
THREADS, ROUNDS = 12, 8
OPS = Actor(name="ops", reason="raced")

ENDS: dict[str, list[Callable[[Generation], Any]]] = {
    "queued": [
        lambda g: lifecycle.cancel(g, "Not needed."),
        lambda g: lifecycle.fail(g, "upstream_unavailable", "Too late."),
        lambda g: attempts.start_submitting(g) and False,
    ],
    "in_doubt": [
        lambda g: lifecycle.fail(g, "submit_unconfirmed", "A day is over."),
        lambda g: in_doubt.release(OPS, g) is None,
        lambda g: in_doubt.give_up(OPS, g) is None,
    ],
    "copying": [
        lambda g: lifecycle.mark_succeeded(g, VIDEO),
        lambda g: lifecycle.fail(g, "copy_failed", "A day is over."),
    ],
}


@pytest.mark.parametrize("status", ENDS)
def test_a_generation_that_many_threads_end_ends_once(alice: Caller, status: str) -> None:
    for number in range(ROUNDS):
        g, _ = put_in(alice, status)
        winners = race(g, ENDS[status])
        row = Generation.objects.get(pk=g.pk)
        kinds = list(LedgerEntry.objects.filter(generation_id=g.pk).order_by("pk").values_list("kind", flat=True))
        if row.finished_at:
            assert winners == 1
            assert kinds == ["hold", "capture" if row.status == "succeeded" else "release"]
        else:  # the submit came first: nothing can end the generation from the queue any more
            assert (winners, row.status, kinds) == (0, "submitting", ["hold"])
            lifecycle.fail(row, "code", f"Round {number} is over.", fenced=False)
        assert g.events.filter(status__in=Generation.FINISHED).count() == 1
    assert reconcile.check(alice.tenant.pk) == []


@pytest.mark.usefixtures("usage_model")
def test_charges_by_usage_at_one_moment_leave_exact_counters(alice: Caller) -> None:
    """Each thread ends a generation of its own: one tenant's counters are corrected upward and downward at once."""
    tokens = [number * 10_000 for number in range(THREADS)]  # 49005 are held
    rows = [copying_by_usage(alice, count) for count in tokens]
    assert run_at_once(lambda number: lifecycle.mark_succeeded(rows[number], VIDEO)) == THREADS
    used = Window.objects.filter(tenant=alice.tenant, kind="usd_per_month").values_list("used", flat=True)
    assert list(used) == [2 * sum(tokens)] * 2
    assert reconcile.check(alice.tenant.pk) == []


def copying_by_usage(caller: Caller, tokens: int) -> Generation:
    """Return a generation whose video is being copied, and has cost that many tokens."""
    g = make_generation(caller, model="acme-tokens-1-t2v")
    attempt = attempts.start_submitting(g)
    assert attempt is not None
    assert lifecycle.mark_running(g, attempt, f"up-{g.pk}", 2)
    assert attempts.start_copying(g, None, tokens)
    return g


def race(generation: Generation, ends: list[Callable[[Generation], Any]]) -> int:
    """Let all threads end the generation at once. Return how many of them succeeded."""
    rows = [Generation.objects.select_related("tenant").get(pk=generation.pk) for _ in range(THREADS)]
    return run_at_once(lambda number: ends[number % len(ends)](rows[number]))


def run_at_once(end: Callable[[int], Any]) -> int:
    """Call `end` in all threads at once, with their numbers. Return how many of them succeeded."""
    barrier, winners = threading.Barrier(THREADS), []

    def run(number: int) -> None:
        """End a generation as thread `number`."""
        barrier.wait(30)
        try:
            if end(number):
                winners.append(number)
        except NotPossible:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(winners)
