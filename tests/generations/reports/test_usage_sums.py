"""The sums of usage: with them a report is what counting every generation gives, at any time and in any time zone."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import Any

import hypothesis
import pytest
import time_machine
from django.db import connection, transaction
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from generations import ids
from generations.models import Generation, UsageSum, UsageSumState
from generations.reports import usage, usage_sums
from tenants import actions, amounts
from tenants.models import ApiKey, Tenant
from tests.support.factories import ACTOR, Caller

NOON = datetime(2026, 10, 25, 12, tzinfo=UTC)  # of the day on which summer time ends in Europe
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
# With and without summer time, and with offsets of half and three quarters of an hour.
ZONES = ["UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"]
FIRST, LAST = date(2026, 8, 1), date(2026, 11, 30)
_numbers = itertools.count()


@pytest.fixture(autouse=True)
def _clock(settings: Any) -> Iterator[None]:
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    with time_machine.travel(NOON, tick=False):
        yield


def add(key: ApiKey, created_at: datetime, status: str = "succeeded", took: timedelta = MINUTE, **facts: Any) -> None:
    """Insert a generation that took so long, without the rows that belong to it."""
    build(key, created_at, status, took, **facts).save(force_insert=True)


def build(key: ApiKey, created_at: datetime, status: str, took: timedelta = MINUTE, **facts: Any) -> Generation:
    """Return a generation that is not saved."""
    number = next(_numbers)
    columns: dict[str, Any] = {"model": "seedance-v1-lite-i2v", "resolution": "480p", "duration": 5, "api_key": key}
    columns |= {"price_micro": 100 + number, "upstream_id": f"up-{number}", "seed_source": "drawn"}
    if status in Generation.FINISHED:
        columns |= {"finished_at": created_at + took, "due_at": None}
        columns |= {"error_code": "failed", "error_message": "No.", "video_key": "v"}
        columns |= {"video_size": 1, "video_sha256": "ab"}
    else:
        columns["due_at"] = created_at
        facts = {name: value for name, value in facts.items() if name != "charged_micro"}
    columns |= {"tenant": key.tenant, "test": key.test, "status": status, "created_at": created_at}
    return Generation(id=ids.new_at(created_at), **(columns | facts))


def store_at(at: datetime) -> int:
    with time_machine.travel(at, tick=False):
        return usage_sums.store()


def count_all(tenant: Tenant, group_by: str, *, test: bool) -> usage.Usage:
    """Return the report that counting each generation by hand gives."""
    groups: defaultdict[str | None, list[Generation]] = defaultdict(list)
    for row in Generation.objects.filter(tenant=tenant, test=test).select_related("api_key"):
        day = row.created_at.astimezone(tenant.zone).date()
        if FIRST <= day <= LAST:
            names = {"day": day.isoformat(), "key": row.api_key.prefix if row.api_key else None}
            groups[{**names, "model": row.model, "resolution": row.resolution}[group_by]].append(row)
    everything = [row for rows in groups.values() for row in rows]
    ordered = sorted(groups, key=lambda name: name or "")
    return usage.Usage([{group_by: name, **count(groups[name])} for name in ordered], count(everything))


def count(rows: Sequence[Generation]) -> dict[str, Any]:
    """Return the columns of a report about these generations."""
    succeeded = [row for row in rows if row.status == "succeeded"]
    failed = sum(row.status == "failed" for row in rows)
    live = [row for row in rows if row.finished_at is None]
    ended = len(succeeded) + failed
    return {
        "accepted": len(rows),
        "succeeded": len(succeeded),
        "failed": failed,
        "cancelled": sum(row.status == "cancelled" for row in rows),
        "live": len(live),
        "seconds": sum(row.duration for row in succeeded),
        "usd": amounts.format_usd(sum(row.spent_micro for row in succeeded)),
        "held_usd": amounts.format_usd(sum(row.price_micro for row in live)),
        "success_rate": round(len(succeeded) / ended, 4) if ended else None,
    }


def assert_exact(tenant: Tenant) -> None:
    """Compare the report by each group, in both modes, with the one that counting gives."""
    for group_by, test in itertools.product(usage.GROUPS, (False, True)):
        assert usage.for_tenant(tenant, FIRST, LAST, group_by, test=test) == count_all(tenant, group_by, test=test)


def summed(tenant: Tenant) -> int:
    """Return how many generations of a tenant the sums hold."""
    return sum(UsageSum.objects.filter(tenant=tenant).values_list("generations", flat=True))


GENERATION = st.fixed_dictionaries(
    {
        "created_at": st.timedeltas(-24 * DAY, 3 * DAY).map(lambda since: NOON + since),
        "status": st.sampled_from(Generation.Status.values),
        "took": st.timedeltas(timedelta(0), 3 * DAY),
        "model": st.sampled_from(["seedance-v1-lite-i2v", "kling-v3.0-std-t2v"]),
        "resolution": st.sampled_from([None, "480p", "720p"]),
        "duration": st.integers(1, 12),
        "charged_micro": st.sampled_from([None, 0, 7, 10**9]),
    }
)
KEYS = st.sampled_from(["live", "other", "test", None])
RUNS = st.lists(st.timedeltas(timedelta(0), 9 * DAY), max_size=3)


@pytest.mark.django_db
@hypothesis.settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(zone=st.sampled_from(ZONES), rows=st.lists(st.tuples(KEYS, GENERATION), max_size=12), runs=RUNS)
def test_with_the_sums_a_report_is_what_counting_gives(zone: str, rows: Any, runs: list[timedelta]) -> None:
    with transaction.atomic():
        alice = Caller(actions.create_tenant(ACTOR, "alice", time_zone=zone))
        keys = {"live": alice.key, "other": alice.with_key().key, "test": alice.with_key(test=True).key}
        for name, facts in rows:
            add(keys[name or "live"], **facts, **({} if name else {"api_key": None}))
        assert_exact(alice.tenant)
        for at in itertools.accumulate(runs, initial=NOON):
            store_at(at)
            assert_exact(alice.tenant)
        transaction.set_rollback(True)


@pytest.mark.django_db
@pytest.mark.parametrize("zone", ZONES)
def test_days_are_exact_over_the_end_of_summer_time(zone: str) -> None:
    alice = Caller(actions.create_tenant(ACTOR, "alice", time_zone=zone))
    for quarter in range(4 * 24 * 3):
        add(alice.key, NOON - 2 * DAY + quarter * 15 * MINUTE)
    store_at(NOON + 2 * DAY)
    assert summed(alice.tenant) == 4 * 24 * 3
    assert_exact(alice.tenant)


@pytest.mark.django_db
def test_what_finished_within_the_settle_time_is_counted_and_added_later(alice: Caller) -> None:
    add(alice.key, NOON - HOUR)
    store_at(NOON)
    add(alice.key, NOON - 5 * MINUTE, took=2 * MINUTE)  # its commit comes after the run
    add(alice.key, NOON - 2 * DAY, "running")
    assert summed(alice.tenant) == 1
    assert_exact(alice.tenant)
    Generation.objects.filter(status="running").update(
        status="succeeded", due_at=None, finished_at=NOON + MINUTE, video_key="v", video_size=1, video_sha256="ab"
    )
    assert_exact(alice.tenant)
    store_at(NOON + HOUR)
    assert summed(alice.tenant) == 3
    assert_exact(alice.tenant)


@pytest.mark.django_db
def test_history_of_before_the_upgrade_is_added_in_steps_of_a_day(alice: Caller, bob: Caller) -> None:
    for days in range(usage_sums.MAX_STEPS_PER_RUN + 5):
        add(alice.key, NOON - 80 * DAY + days * DAY)
    add(bob.key, NOON - 40 * DAY, "failed")
    steps = [store_at(NOON), store_at(NOON), store_at(NOON)]
    assert steps == [usage_sums.MAX_STEPS_PER_RUN, 6, 0]  # the last step passes over the days without any
    for caller in (alice, bob):
        assert_exact(caller.tenant)
    assert (summed(alice.tenant), summed(bob.tenant)) == (usage_sums.MAX_STEPS_PER_RUN + 5, 1)


@pytest.mark.django_db
def test_amid_the_history_a_report_is_exact_too(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usage_sums, "MAX_STEPS_PER_RUN", 1)
    for hours in range(0, 24 * 5, 7):
        add(alice.key, NOON - 6 * DAY + hours * HOUR)
    while store_at(NOON):
        assert_exact(alice.tenant)
    assert summed(alice.tenant) == 18


@pytest.mark.django_db
def test_another_time_zone_begins_the_sums_again(alice: Caller, bob: Caller) -> None:
    for caller, hours in itertools.product((alice, bob), range(48)):
        add(caller.key, NOON - 3 * DAY + hours * HOUR)
    store_at(NOON)
    tenant = actions.change_tenant(ACTOR, alice.tenant, time_zone="Asia/Kathmandu")
    assert_exact(tenant)  # the sums are of days that are no longer the tenant's
    store_at(NOON + MINUTE)
    assert UsageSumState.objects.get(tenant=tenant).time_zone == "Asia/Kathmandu"
    assert (summed(tenant), summed(bob.tenant)) == (48, 48)
    assert_exact(tenant)
    assert_exact(bob.tenant)


@pytest.mark.django_db
def test_who_reads_the_same_generations_as_another_worker_adds_nothing(
    alice: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hours in range(9):
        add(alice.key, NOON - 2 * HOUR - hours * HOUR)
    real = usage_sums._add_up

    def read_and_be_late(*args: Any) -> list[Any]:
        rows = list(real(*args))
        monkeypatch.setattr(usage_sums, "_add_up", real)
        assert usage_sums.store() == 2  # the other worker: a day before midnight, and the rest
        return rows

    monkeypatch.setattr(usage_sums, "_add_up", read_and_be_late)
    for hours in range(9, 15):
        add(alice.key, NOON - 2 * HOUR - hours * HOUR)
    assert store_at(NOON) == 1
    assert summed(alice.tenant) == 15
    assert_exact(alice.tenant)


@pytest.mark.django_db(transaction=True)
def test_workers_at_once_count_nothing_twice_and_lose_nothing(alice: Caller) -> None:
    for hours in range(72):
        add(alice.key, NOON - 4 * DAY + hours * HOUR)

    def store() -> None:
        try:
            usage_sums.store()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        for run in [pool.submit(store) for _ in range(8)]:
            run.result(60)
    assert summed(alice.tenant) == 72
    assert_exact(alice.tenant)


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


INDEXES = ("usage_is_summed_once", "generation_by_tenant", "generation_by_status", "generation_finished")


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
