"""Claims: which rows are next, by lane and by tenant, and that no two claims share a row."""

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


def insert_copies(row: Generation, count: int, **changed: Any) -> None:
    """Insert `count` copies of the row, each due a moment later than the one before."""
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


def test_ten_thousand_rows_of_one_tenant_do_not_delay_the_first_of_another(alice: Caller, bob: Caller) -> None:
    insert_copies(make_generation(alice), 10_000)
    bobs = make_generation(bob)
    claimed = claims.claim_submits(8)
    assert bobs.pk in {row.pk for row in claimed}
    assert Counter(row.tenant_id for row in claimed) == {alice.tenant.pk: 7, bob.tenant.pk: 1}


def test_copies_of_one_tenant_do_not_delay_the_copy_of_another(alice: Caller, bob: Caller) -> None:
    insert_copies(put_in(alice, Status.COPYING)[0], 300)
    bobs, _ = put_in(bob, Status.COPYING)
    Generation.objects.filter(pk=bobs.pk).update(due_at=timezone.now())
    claimed = claims.claim_copies(6)
    assert Counter(row.tenant_id for row in claimed) == {alice.tenant.pk: 5, bob.tenant.pk: 1}
    Generation.objects.filter(pk=bobs.pk).update(due_at=timezone.now())
    assert [row.pk for row in claims.claim_copies(1, Counter({alice.tenant.pk: 5}))] == [bobs.pk]


def test_a_tenant_with_many_in_progress_waits_for_tenants_with_none(alice: Caller, bob: Caller) -> None:
    insert_copies(make_generation(alice), 20)
    insert_copies(make_generation(bob), 20)
    claimed = claims.claim_submits(6, Counter({alice.tenant.pk: 4}))
    assert Counter(row.tenant_id for row in claimed) == {bob.tenant.pk: 5, alice.tenant.pk: 1}


def test_the_oldest_due_rows_of_a_tenant_are_first(alice: Caller) -> None:
    insert_copies(make_generation(alice), 20)
    due = list(Generation.objects.order_by("due_at").values_list("pk", flat=True))
    assert [row.pk for row in claims.claim_submits(5)] == due[:5]
    assert [row.pk for row in claims.claim_submits(5)] == due[5:10]


def test_without_capacity_at_the_upstream_only_rows_of_test_keys_are_claimed(alice: Caller) -> None:
    live, test = make_generation(alice), make_generation(alice)
    Generation.objects.filter(pk=test.pk).update(test=True)
    assert [row.pk for row in claims.claim_submits(5, full=[live.model])] == [test.pk]
    assert [row.pk for row in claims.claim_submits(5)] == [live.pk]


def test_each_lane_claims_its_own_rows_with_the_time_they_fell_due(alice: Caller) -> None:
    running = put_in(alice, Status.RUNNING)[0]
    copying = put_in(alice, Status.COPYING)[0]
    queued = make_generation(alice)
    was_due = timezone.now() - timedelta(seconds=7)
    Generation.objects.update(due_at=was_due)
    for claim, row, lease in (
        (claims.claim_polls, running, leases.POLL_LEASE),
        (claims.claim_copies, copying, leases.CLAIM_LEASE),
        (claims.claim_submits, queued, leases.CLAIM_LEASE),
    ):
        [claimed] = claim(10)
        assert claimed.pk == row.pk
        assert claimed.was_due == was_due
        row.refresh_from_db()
        assert (claimed.fencing_token, claimed.due_at) == (row.fencing_token, row.due_at)
        assert claimed.due_at is not None
        assert timedelta() < timezone.now() + lease - claimed.due_at < timedelta(seconds=5)
    assert claim_due(10) == []
    assert not claims.is_any_due(timezone.now())
    assert claims.is_any_due(timezone.now() + timedelta(hours=1))


def test_a_claim_that_finds_nothing_writes_nothing(alice: Caller) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert claim_due(10) == []
    assert [query["sql"] for query in queries if not query["sql"].startswith("SELECT")] == []
    assert len(queries) == 4


@pytest.mark.django_db(transaction=True)
def test_claims_at_one_moment_share_no_row(alice: Caller) -> None:
    insert_copies(make_generation(alice), 199)
    Generation.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    barrier, counts, guard = threading.Barrier(4), Counter[Any](), threading.Lock()

    def claim() -> None:
        barrier.wait()
        while claimed := claims.claim_submits(7):
            with guard:
                counts.update(row.pk for row in claimed)
        connection.close()

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = claims.claim_submits(200)  # rows that one thread skipped because another had locked them
    counts.update(row.pk for row in left)
    assert (len(counts), set(counts.values())) == (200, {1})


def test_many_rendering_generations_are_rescheduled_by_one_write(alice: Caller, monkeypatch: Any) -> None:
    failed = put_in(alice, Status.RUNNING)[0]
    insert_copies(failed, 50)
    Generation.objects.update(due_at=timezone.now() - timedelta(seconds=1))
    claimed = claims.claim_polls(100)
    later = timezone.now() + timedelta(seconds=5)
    [claimed_failed] = (row for row in claimed if row.pk == failed.pk)
    lost = next(row for row in claimed if row.pk != failed.pk)
    Generation.objects.filter(pk=lost.pk).update(fencing_token=lost.fencing_token + 1)
    assert lifecycle.fail(claimed_failed, "upstream_failed", "It could not.")
    progresses = [lifecycle.Progress(row.pk, row.fencing_token, later, 42) for row in claimed]
    statements, run = list[str](), engine.run
    monkeypatch.setattr(engine, "run", lambda sql, values: statements.append(sql) or run(sql, values))
    lifecycle.reschedule_many(progresses)
    assert len(statements) == 1
    assert Generation.objects.filter(due_at=later, progress_percent=42, consecutive_failures=0).count() == 49
    lost.refresh_from_db()
    assert lost.progress_percent != 42
    assert Generation.objects.get(pk=failed.pk).due_at is None
    lifecycle.reschedule_many([])


@pytest.mark.skipif("connection.vendor != 'postgresql'", reason="how PostgreSQL reads its indexes")
@pytest.mark.parametrize("lane", [claims.claim_polls, claims.claim_copies, claims.claim_submits])
def test_claims_read_their_indexes_alone(alice: Caller, lane: Any) -> None:
    """Insert many finished rows, and so many waiting rows that sorting them would show."""
    insert_copies(put_in(alice, Status.RUNNING)[0], 300)
    insert_copies(make_generation(alice), 300)
    insert_copies(put_in(alice, Status.COPYING)[0], 300)
    finished = put_in(alice, Status.SUCCEEDED)[0]
    insert_copies(finished, 3000, due_at=None)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE generations_generation")
        before = _count_table_scans(cursor)
        assert len(lane(5)) == 5
        read = {name: count - before.get(name, 0) for name, count in _count_table_scans(cursor).items()}
    assert read["generations_generation"] == 0, "The whole table was read."


def _count_table_scans(cursor: Any) -> dict[str, int]:
    """Return how often the table of generations was read whole in this transaction."""
    cursor.execute("SELECT pg_stat_force_next_flush()")
    cursor.execute("SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname = 'generations_generation'")
    return dict(cursor.fetchall())


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="a file's locks end with their process")
def test_a_row_locked_by_a_host_that_was_cut_off_is_claimed_soon(alice: Caller, monkeypatch: Any) -> None:
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
            assert time.monotonic() < ends, "The row stays locked while the server waits for the host."
            time.sleep(0.05)
    finally:
        cut_off.close()
    assert claimed[0].pk == row.pk
