"""A read of usage: one moment, and no more rows as the history grows."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import time_machine
from django.db import connection

from generations.models import Generation, UsageSum, UsageSumState
from generations.reports import usage
from tenants.models import Tenant
from tests.support.factories import Caller
from tests.support.usage_history import (
    DAY,
    FIRST,
    HOUR,
    LAST,
    MINUTE,
    NOON,
    add,
    build,
    count_all,
    store_at,
    summed,
)

INDEXES = ("usage_is_summed_once", "generation_by_tenant", "generation_by_status", "generation_finished")


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    with time_machine.travel(NOON, tick=False):
        yield


@pytest.mark.django_db
def test_a_run_amid_a_read_changes_no_report(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    add(alice.key, NOON - HOUR)
    store_at(NOON)
    add(alice.key, NOON)
    real, reads = usage.engine.run, list[str]()

    def run(sql: str, values: Sequence[Any]) -> list[Any]:
        rows = real(sql, values)
        reads.append(sql)
        if reads == [usage.STATE]:
            store_at(NOON + HOUR)  # adds what the report is about to count
        return rows

    monkeypatch.setattr(usage.engine, "run", run)
    report = usage.for_tenant(alice.tenant, FIRST, LAST, "day", test=False)
    monkeypatch.undo()
    assert reads.count(usage.STATE) == 2
    assert report == count_all(alice.tenant, "day", test=False)


@pytest.mark.django_db
def test_the_rows_that_a_report_reads_do_not_grow_with_the_history(alice: Caller) -> None:
    add(alice.key, NOON - HOUR, "running")
    add(alice.key, NOON)
    few = work_after(alice, history=200)
    assert work_after(alice, history=800) == few
    assert summed(alice.tenant) == 1000


@pytest.mark.django_db
def test_without_sums_the_generations_are_found_by_tenant_and_time(alice: Caller) -> None:
    earlier = [build(alice.key, NOON - 200 * DAY + number * MINUTE, "succeeded") for number in range(300)]
    Generation.objects.bulk_create(earlier)
    add(alice.key, NOON)
    _, plan = work_and_plan(alice.tenant)
    assert {name for name in INDEXES if name in plan} == {"generation_by_tenant"}


def work_after(caller: Caller, history: int) -> int:
    """Return the work of a report after so many more generations have finished, and were added to the sums.

    The others are found by the indexes of what finished lately and of what is in progress.
    """
    rows = [build(caller.key, NOON - 30 * DAY + number * MINUTE / 2, "succeeded") for number in range(history)]
    Generation.objects.bulk_create(rows)
    UsageSumState.objects.all().delete()
    UsageSum.objects.all().delete()
    store_at(NOON)
    work, plan = work_and_plan(caller.tenant)
    assert {name for name in INDEXES if name in plan} == {*INDEXES} - {"generation_by_tenant"}
    return work


def work_and_plan(tenant: Tenant) -> tuple[int, str]:
    """Return the rows that PostgreSQL reads for a report, or the instructions that SQLite runs, and the plan."""
    statements = list[Any]()
    real = usage.engine.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usage.engine, "run", lambda *statement: statements.append(statement) or real(*statement))
        usage.for_tenant(tenant, FIRST, LAST, "model", test=False)
    sql, values = statements[-1]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE generations_generation")
            for wrong in ("seqscan", "bitmapscan"):
                cursor.execute(f"SET LOCAL enable_{wrong} = off")  # what its cost model takes for a few rows
            [[[explained]]] = real(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values)
            return int(sum(rows_read(explained["Plan"]))), str(explained)
        steps = list[int]()
        cursor.connection.set_progress_handler(lambda: steps.append(1), 1)
        real(sql, values)
        cursor.connection.set_progress_handler(None, 1)
        return len(steps), str(real(f"EXPLAIN QUERY PLAN {sql}", values))


def rows_read(node: dict[str, Any]) -> Iterator[float]:
    """Yield the rows that each scan of a plan has read."""
    if "Scan" in node["Node Type"] and "Relation Name" in node:
        yield node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
    for child in node.get("Plans", []):
        yield from rows_read(child)
