"""Who is claimed next, by lane and by tenant, and that no two claims share a row."""

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from generations import leases, lifecycle
from generations.models import Generation
from generations.worker import claims
from tenants.db import postgresql
from tenants.db.engine import engine
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller, make_generation
from tests.support.worker import claim_due

pytestmark = pytest.mark.django_db
Status = Generation.Status


def copies(row: Generation, count: int, **changed: Any) -> None:
    """Many like it, each due a moment later than the one before."""
    first = timezone.now() - timedelta(hours=1)
    Generation.objects.bulk_create(
        [
            Generation(
                **{
                    **{field.attname: getattr(row, field.attname) for field in Generation._meta.concrete_fields},
                    "id": Generation._meta.pk.get_default(),
                    "due_at": first + timedelta(milliseconds=number),
                    "upstream_id": f"{row.pk}-{number}" if row.upstream_id else None,
                    **changed,
                }
            )
            for number in range(count)
        ],
        batch_size=500,
    )


def test_ten_thousand_of_one_tenant_do_not_stand_before_the_first_of_another(alice: Caller, bob: Caller) -> None:
    copies(make_generation(alice), 10_000)
    his = make_generation(bob)
    claimed = claims.claim_submits(8)
    assert his.pk in {one.pk for one in claimed}
    assert Counter(one.tenant_id for one in claimed) == {alice.tenant.pk: 7, bob.tenant.pk: 1}


def test_who_has_many_under_way_waits_for_those_that_have_none(alice: Caller, bob: Caller) -> None:
    copies(make_generation(alice), 20)
    copies(make_generation(bob), 20)
    claimed = claims.claim_submits(6, Counter({alice.tenant.pk: 4}))
    assert Counter(one.tenant_id for one in claimed) == {bob.tenant.pk: 5, alice.tenant.pk: 1}


def test_of_one_tenant_the_oldest_due_are_first(alice: Caller) -> None:
    copies(make_generation(alice), 20)
    due = list(Generation.objects.order_by("due_at").values_list("pk", flat=True))
    assert [one.pk for one in claims.claim_submits(5)] == due[:5]
    assert [one.pk for one in claims.claim_submits(5)] == due[5:10]


def test_without_room_at_the_upstream_only_test_keys_go(alice: Caller) -> None:
    live, test = make_generation(alice), make_generation(alice)
    Generation.objects.filter(pk=test.pk).update(test=True)
    assert [one.pk for one in claims.claim_submits(5, live=False)] == [test.pk]
    assert [one.pk for one in claims.claim_submits(5)] == [live.pk]


def test_each_lane_has_its_own_and_says_what_was_due(alice: Caller) -> None:
    running = put_in(alice, Status.RUNNING)[0]
    copying = put_in(alice, Status.COPYING)[0]
    queued = make_generation(alice)
    was_due = timezone.now() - timedelta(seconds=7)
    Generation.objects.update(due_at=was_due)
    for lane, row, lease in (
        (claims.claim_polls, running, leases.POLL_LEASE),
        (claims.claim_others, copying, leases.CLAIM_LEASE),
        (claims.claim_submits, queued, leases.CLAIM_LEASE),
    ):
        [one] = lane(10)
        assert one.pk == row.pk
        assert one.was_due == was_due
        row.refresh_from_db()
        assert (one.fencing_token, one.due_at) == (row.fencing_token, row.due_at)
        assert one.due_at is not None
        assert timedelta() < timezone.now() + lease - one.due_at < timedelta(seconds=5)
    assert claim_due(10) == []
    assert not claims.is_any_due(timezone.now())
    assert claims.is_any_due(timezone.now() + timedelta(hours=1))


def test_a_look_that_finds_nothing_writes_nothing(alice: Caller) -> None:
    with CaptureQueriesContext(connection) as asked:
        assert claim_due(10) == []
    assert [query["sql"] for query in asked if not query["sql"].startswith("SELECT")] == []
    assert len(asked) == 3


@pytest.mark.django_db(transaction=True)
def test_claims_at_one_moment_share_no_row(alice: Caller) -> None:
    copies(make_generation(alice), 199)
    Generation.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    barrier, taken, guard = threading.Barrier(4), Counter[Any](), threading.Lock()

    def claim() -> None:
        barrier.wait()
        while claimed := claims.claim_submits(7):
            with guard:
                taken.update(one.pk for one in claimed)
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = claims.claim_submits(200)  # what one passed over because another had it locked
    taken.update(one.pk for one in left)
    assert (len(taken), set(taken.values())) == (200, {1})


def test_many_that_render_on_are_put_off_by_one_write(alice: Caller, monkeypatch: Any) -> None:
    mine = put_in(alice, Status.RUNNING)[0]
    copies(mine, 50)
    Generation.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    claimed = claims.claim_polls(100)
    later = timezone.now() + timedelta(seconds=5)
    [moved] = (one for one in claimed if one.pk == mine.pk)
    lost = next(one for one in claimed if one.pk != mine.pk)
    Generation.objects.filter(pk=lost.pk).update(fencing_token=lost.fencing_token + 1)
    assert lifecycle.fail(moved, "upstream_failed", "It could not.")
    seen = [lifecycle.Progress(one.pk, one.fencing_token, later, 42) for one in claimed]
    asked, run = list[str](), engine.run
    monkeypatch.setattr(engine, "run", lambda sql, values: asked.append(sql) or run(sql, values))
    lifecycle.reschedule_many(seen)
    assert len(asked) == 1
    assert Generation.objects.filter(due_at=later, progress_percent=42, consecutive_failures=0).count() == 49
    lost.refresh_from_db()
    assert lost.progress_percent != 42
    assert Generation.objects.get(pk=moved.pk).due_at is None
    lifecycle.reschedule_many([])


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="how PostgreSQL reads them")
@pytest.mark.parametrize("lane", [claims.claim_polls, claims.claim_others, claims.claim_submits])
def test_claims_are_read_off_their_indexes(alice: Caller, lane: Any) -> None:
    """With many finished rows, and so many waiting that a sort of them would be seen."""
    copies(put_in(alice, Status.RUNNING)[0], 300)
    copies(make_generation(alice), 300)
    copies(put_in(alice, Status.COPYING)[0], 300)
    finished = put_in(alice, Status.SUCCEEDED)[0]
    copies(finished, 3000, due_at=None)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE generations_generation")
        before = _read(cursor)
        assert len(lane(5)) == 5
        read = {name: count - before.get(name, 0) for name, count in _read(cursor).items()}
    assert read["generations_generation"] == 0, "the table was read whole"


def _read(cursor: Any) -> dict[str, int]:
    cursor.execute("SELECT pg_stat_force_next_flush()")
    cursor.execute("SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'generations_generation'")
    return dict(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="a file's locks end with their process")
def test_a_row_that_a_host_had_locked_when_it_was_cut_off_is_claimed_soon(alice: Caller, monkeypatch: Any) -> None:
    row, _ = put_in(alice, "running")
    Generation.objects.filter(pk=row.pk).update(due_at=timezone.now())
    monkeypatch.setattr(postgresql, "MAX_IDLE_IN_TRANSACTION", timedelta(seconds=0.5))
    cut_off: Any = connection.copy()
    cut_off.ensure_connection()
    try:
        cut_off.connection.execute("BEGIN")
        cut_off.connection.execute("SELECT 1 FROM generations_generation FOR UPDATE")
        assert claims.claim_polls(1) == []
        ends = time.monotonic() + 10
        while not (claimed := claims.claim_polls(1)):
            assert time.monotonic() < ends, "it is locked for as long as the server believes that somebody is there"
            time.sleep(0.05)
    finally:
        cut_off.close()
    assert claimed[0].pk == row.pk
