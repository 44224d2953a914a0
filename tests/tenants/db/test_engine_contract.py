"""Every engine passes this one suite: `make test` runs the tests against SQLite, `make postgres` against PostgreSQL."""

import re
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.conf import settings
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import DateField, DateTimeField, ForeignKey, IntegerField, JSONField, UUIDField
from django.utils import timezone

from generations.models import Generation
from tenants.db import sqlite
from tenants.db.engine import ENGINES, engine
from tenants.db.operations import Engine, Plan, Statement, release_connection
from tenants.models import Tenant, Window
from tests.support.factories import Caller, make_generation

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 11, 2, 12, 0, 0, 123456, tzinfo=UTC)
INSERT = "INSERT INTO tenants_window (tenant_id, kind, starts_at, used) VALUES (%s, %s, %s, %s)"


def window(tenant: Tenant, kind: str = "per_day", used: int = 0) -> Statement:
    """Return the INSERT of a window that starts at NOON."""
    return Statement(INSERT, [tenant.pk, kind, engine.adapt(NOON), used])


def test_each_engine_implements_every_operation() -> None:
    assert {type(engine)} <= set(ENGINES.values())
    for kind in ENGINES.values():
        assert not kind.__abstractmethods__
        public = {name for name in vars(kind) if not name.startswith("_")}
        assert public <= {*dir(Engine), *Engine.__annotations__}, "an operation that only one engine has"


# -- statements -----------------------------------------------------------------------------------------------------


def test_run_returns_all_rows_and_none_of_a_write(alice: Caller) -> None:
    assert engine.run("SELECT 7", []) == [(7,)]
    assert engine.run(*window(alice.tenant)) == []
    assert engine.run("SELECT used FROM tenants_window WHERE tenant_id = %s", [alice.tenant.pk]) == [(0,)]


def test_run_raises_djangos_errors(alice: Caller) -> None:
    engine.run(*window(alice.tenant))
    with pytest.raises(IntegrityError), transaction.atomic():
        engine.run(*window(alice.tenant))


def test_run_by_takes_another_connection(transactional_db: None) -> None:
    other: Any = connection.copy()
    try:
        assert engine.run_on(other, "SELECT 7", []) == [(7,)]
    finally:
        other.close()


def test_write_is_part_of_a_callers_transaction(alice: Caller) -> None:
    with transaction.atomic():
        engine.write(*window(alice.tenant))
        transaction.set_rollback(True)
    assert not Window.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_write_by_itself_is_committed_at_once(alice: Caller) -> None:
    engine.write(*window(alice.tenant))
    connection.close()
    assert Window.objects.get().used == 0


# -- plans ----------------------------------------------------------------------------------------------------------


def plan(tenant: Tenant, **changed: Any) -> Plan:
    """Return a plan that writes a window and charges the day's counter. The tenant is required row and holder."""
    parts: dict[str, Any] = {
        "writes": [window(tenant, "in_flight")],
        "required": Statement("SELECT id FROM tenants_tenant WHERE id = %s", [tenant.pk]),
        "required_count": 1,
        "holder": Statement(
            "SELECT suspended_at IS NULL AS is_open, name, per_day FROM tenants_tenant WHERE id = %s {after}",
            [tenant.pk],
        ),
        "expected": {"is_open": True, "name": "alice", "per_day": None},
        "counters": Statement(
            "UPDATE tenants_window SET used = used + 1 WHERE tenant_id = %s AND kind = 'per_day' AND used < 2 {after} "
            "RETURNING kind, used",
            [tenant.pk],
        ),
        "counters_count": 1,
        "returning": "kind, used",
    }
    return Plan(**{**parts, **changed})


def list_holder(tenant: Tenant) -> Statement:
    """Return the holder of a plan whose row has a JSON column with the list "ä", "a"."""
    Tenant.objects.filter(pk=tenant.pk).update(allowed_models=["ä", "a"])
    return Statement("SELECT allowed_models FROM tenants_tenant WHERE id = %s {after}", [tenant.pk])


def stored_windows() -> dict[str, int]:
    """Return what is used in each stored window, by kind."""
    return dict(Window.objects.values_list("kind", "used"))


REFUSED: list[Callable[[Tenant], dict[str, Any]]] = [
    lambda tenant: {"required_count": 2},
    lambda tenant: {"required": Statement("SELECT id FROM tenants_tenant WHERE id = %s", [-1])},
    lambda tenant: {"expected": {"is_open": True, "name": "bob", "per_day": None}},
    lambda tenant: {"expected": {"is_open": False, "name": "alice", "per_day": None}},
    lambda tenant: {"expected": {"is_open": True, "name": "alice", "per_day": 0}},
    lambda tenant: {"holder": Statement("SELECT name FROM tenants_tenant WHERE id = %s {after}", [-1])},
    lambda tenant: {"counters_count": 2},
    lambda tenant: {"holder": list_holder(tenant), "expected": {"allowed_models": ["a", "ä"]}},
]


@pytest.mark.parametrize("within", [True, False], ids=["in a caller's transaction", "by itself"])
class TestPlan:
    """A plan is committed as a whole, or leaves nothing."""

    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture(autouse=True)
    def _day(self, alice: Caller) -> None:
        """Insert the window of the day."""
        engine.run(*window(alice.tenant))

    def run(self, within: bool, plan: Plan) -> list[Any] | None:
        """Run the plan by itself, or within a transaction."""
        if not within:
            return engine.run_plan(plan)
        with transaction.atomic():
            rows = engine.run_plan(plan)
            assert engine.run("SELECT 7", []) == [(7,)]  # the caller's transaction is still usable
        return rows

    def test_is_committed_if_every_condition_holds(self, alice: Caller, within: bool) -> None:
        rows = self.run(within, plan(alice.tenant))
        assert [tuple(row) for row in rows or []] == [("per_day", 1)]
        assert stored_windows() == {"in_flight": 0, "per_day": 1}

    def test_compares_the_list_of_a_json_column(self, alice: Caller, within: bool) -> None:
        holder = list_holder(alice.tenant)
        rows = self.run(within, plan(alice.tenant, holder=holder, expected={"allowed_models": ["ä", "a"]}))
        assert [tuple(row) for row in rows or []] == [("per_day", 1)]

    @pytest.mark.parametrize("changed", REFUSED)
    def test_leaves_nothing_if_a_condition_does_not_hold(self, alice: Caller, within: bool, changed: Any) -> None:
        assert self.run(within, plan(alice.tenant, **changed(alice.tenant))) is None
        assert stored_windows() == {"per_day": 0}

    def test_leaves_nothing_if_a_counter_has_no_capacity(self, alice: Caller, within: bool) -> None:
        Window.objects.update(used=2)
        assert self.run(within, plan(alice.tenant)) is None
        assert stored_windows() == {"per_day": 2}

    def test_leaves_nothing_if_a_write_is_refused(self, alice: Caller, within: bool) -> None:
        with pytest.raises(IntegrityError):
            self.run(within, plan(alice.tenant, writes=[window(alice.tenant, "in_flight"), window(alice.tenant)]))
        connection.close_if_unusable_or_obsolete()
        assert stored_windows() == {"per_day": 0}

    def test_after_a_refused_plan_is_committed(self, alice: Caller, within: bool) -> None:
        assert self.run(within, plan(alice.tenant, counters_count=2)) is None
        assert self.run(within, plan(alice.tenant)) is not None
        assert stored_windows() == {"in_flight": 0, "per_day": 1}


@pytest.mark.django_db(transaction=True)
def test_concurrent_plans_never_exceed_the_capacity(alice: Caller) -> None:
    engine.run(*window(alice.tenant))
    results = list[Any]()

    def run(number: int) -> None:
        writes = [Statement(INSERT, [alice.tenant.pk, f"kind {number}", engine.adapt(NOON), 0])]
        try:
            results.append(engine.run_plan(plan(alice.tenant, writes=writes)))
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([rows for rows in results if rows is not None]) == 2
    assert stored_windows()["per_day"] == 2
    assert len(stored_windows()) == 1 + 2


# -- texts and values -----------------------------------------------------------------------------------------------


def test_with_row_locks_selects_the_same_rows(alice: Caller) -> None:
    with transaction.atomic():
        sql = engine.with_row_locks("SELECT name FROM tenants_tenant WHERE id = %s ORDER BY id")
        assert engine.run(sql, [alice.tenant.pk]) == [("alice",)]


def test_table_of_rows_returns_its_rows() -> None:
    rows = [(uuid4(), number, NOON + timedelta(days=number), -number) for number in range(5)]
    sql, values = engine.table_of_rows(("uuid", "bigint", "timestamptz", "bigint"), rows)
    table = engine.run(f"WITH sent (id, number, at, other) AS ({sql}) SELECT * FROM sent ORDER BY number", values)
    assert [tuple(row) for row in table] == [tuple(engine.adapt(value) for value in row) for row in rows]


def test_typed_values_compare_as_their_type(alice: Caller) -> None:
    engine.run(*window(alice.tenant))
    row = f"({engine.typed_placeholder('text')}, {engine.typed_placeholder('timestamptz')})"
    sql = f"WITH sent (kind, at) AS (VALUES {row}) SELECT count(*) FROM tenants_window JOIN sent "
    sql += "ON tenants_window.kind = sent.kind AND tenants_window.starts_at = sent.at"
    assert engine.run(sql, ["per_day", engine.adapt(NOON)]) == [(1,)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (UUIDField(), UUID(int=7)),
        (DateTimeField(), NOON),
        (DateField(), date(2026, 11, 2)),
        (JSONField(), {"ä": [1, None]}),
        (IntegerField(), 7),
        (Generation._meta.get_field("rerun_of"), UUID(int=7)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_adapter_returns_what_the_orm_would_send(field: Any, value: Any) -> None:
    adapt = engine.adapter(field)
    sent = adapt(value) if adapt else value
    target = field.target_field if isinstance(field, ForeignKey) else field
    assert str(sent) == str(target.get_db_prep_save(value, connection))


def test_adapt_does_not_change_what_the_driver_accepts() -> None:
    assert [engine.adapt(value) for value in (None, 7, "text")] == [None, 7, "text"]


@pytest.mark.parametrize(
    ("time_zone", "at", "day"),
    [
        ("UTC", datetime(2026, 11, 2, 23, 59, tzinfo=UTC), date(2026, 11, 2)),
        ("Asia/Kathmandu", datetime(2026, 11, 2, 18, 15, tzinfo=UTC), date(2026, 11, 3)),
        ("America/St_Johns", datetime(2026, 11, 2, 3, 29, 59, tzinfo=UTC), date(2026, 11, 1)),
    ],
)
def test_a_local_day_is_one_of_the_time_zone(alice: Caller, time_zone: str, at: datetime, day: date) -> None:
    generation = make_generation(alice, created_at=at)
    sql, values = engine.local_day("created_at", time_zone)
    select = f"SELECT {sql} FROM generations_generation WHERE id = %s"
    assert engine.run(select, [*values, engine.adapt(generation.pk)]) == [(engine.adapt(day),)]


# -- claims ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [(), {"id", "due_at", "fencing_token", "status"}], ids=["all columns", "some columns"]
)
def test_claim_takes_the_oldest_due_rows_and_increments_their_fencing_token(alice: Caller, names: Any) -> None:
    now = timezone.now()
    rows = [make_generation(alice, image=None, image_url="https://example.com/a.png") for _ in range(4)]
    for number, row in enumerate(rows):
        Generation.objects.filter(pk=row.pk).update(due_at=now - timedelta(seconds=10 - number))
    due, until = Generation.objects.filter(status="queued", due_at__lte=now), now + timedelta(minutes=1)
    claimed = engine.claim(due, 3, until, names)
    assert {row.pk for row in claimed} == {row.pk for row in rows[:3]}
    assert {row.was_due for row in claimed} == {now - timedelta(seconds=10 - number) for number in range(3)}
    assert [(row.due_at, row.fencing_token) for row in claimed] == [(until, 1)] * 3
    assert {row.status for row in claimed} == {"queued"}
    assert {row.pk for row in engine.claim(due, 3, until, names)} == {rows[3].pk}
    assert engine.claim(due, 3, until, names) == []


# -- connections ----------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_sees_one_moment(alice: Caller) -> None:
    with engine.snapshot():
        assert Window.objects.count() == 0
        other = threading.Thread(target=_write_and_close, args=[alice.tenant])
        other.start()
        other.join(0.2)  # PostgreSQL has written the window by then; SQLite makes the thread wait
        assert Window.objects.count() == 0
    other.join()
    assert Window.objects.count() == 1


def _write_and_close(tenant: Tenant) -> None:
    """Write a window and close the thread's connection."""
    try:
        engine.write(*window(tenant))
    finally:
        connection.close()


def test_describe_names_the_database() -> None:
    description = engine.describe()
    assert description.sentence
    assert description.one_host_only == (description.max_connections is None)


@pytest.mark.django_db(transaction=True)
def test_release_connection_closes_the_connection_except_in_a_transaction() -> None:
    connection.ensure_connection()
    with transaction.atomic():
        release_connection()
        assert connection.connection is not None
    release_connection()
    assert connection.connection is None


@pytest.mark.one_database
def test_sqlite_has_another_writer_in_another_process(monkeypatch: Any) -> None:
    writer, here = sqlite.Writer(), connection
    monkeypatch.setattr(here, "is_in_memory_db", lambda: False, raising=False)
    first = writer.get(here)
    assert writer.get(here) is first
    monkeypatch.setattr("os.getpid", lambda: -1)
    assert writer.get(here) is not first


def _cut() -> None:
    """Cut the connection as a restart of the server cuts every pooled connection."""
    connection.ensure_connection()
    info: Any = connection.connection.info
    with psycopg.connect(info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [info.backend_pid])


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="a file is not cut off")
class TestACutConnection:
    """A connection that a restart of the server has cut is replaced."""

    def test_fails_no_first_statement(self) -> None:
        _cut()
        assert engine.run("SELECT 7", []) == [(7,)]

    def test_that_the_driver_has_closed_fails_no_statement(self) -> None:
        connection.ensure_connection()
        pooled: Any = connection.connection
        pooled.close()
        assert engine.run("SELECT 7", []) == [(7,)]

    def test_fails_a_statement_inside_a_transaction_and_none_after(self) -> None:
        def twice() -> None:
            with transaction.atomic():
                assert engine.run("SELECT 7", []) == [(7,)]
                _cut()
                engine.run("SELECT 7", [])

        with pytest.raises(OperationalError):
            twice()
        connection.close_if_unusable_or_obsolete()
        assert engine.run("SELECT 7", []) == [(7,)]


# -- the other rooms ------------------------------------------------------------------------------------------------

VENDOR_WORDS = re.compile(r"\.vendor\b|connection\.features|\bpsycopg\b|FOR (NO KEY )?UPDATE|SKIP LOCKED|IS_POSTGRESQL")
PRODUCT = ("seedance_service", "tenants", "generations", "deploy")


@pytest.mark.one_database
def test_no_module_outside_of_this_package_knows_which_database_it_is() -> None:
    files = [file for folder in PRODUCT for file in (Path(settings.BASE_DIR) / folder).rglob("*.py")]
    modules = {
        str(file.relative_to(settings.BASE_DIR))
        for file in files
        if "migrations" not in file.parts and file.parent.name != "db" and VENDOR_WORDS.search(file.read_text())
    }
    assert modules == set()
    assert len(files) > 150
