"""Each migration can be run again from any point at which it was killed, and hosts that migrate at once take turns."""

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, migrations, models
from django.db.migrations.recorder import MigrationRecorder

from tenants.db.engine import engine
from tenants.db.migrating import REPEATABLE, Executor

ROOT = Path(__file__).resolve().parents[3]
# Before the first migrations that are not atomic, as far back as a release can be taken.
EARLIEST = [("generations", "0011_roles"), ("tenants", "0006_webhooks_scope")]


class Killed(BaseException):
    """The process was killed; no code of Django's catches this."""


@contextmanager
def killed_at(number: int) -> Iterator[list[str]]:
    """Kill the process before its statement with that number, and yield the statements that were run."""
    run: list[str] = []

    def execute(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if len(run) == number:
            raise Killed
        run.append(sql)
        return execute(sql, *rest)

    with connection.execute_wrapper(execute):
        yield run


def statements_of(app: str, name: str) -> Iterator[int]:
    """Apply a migration once for each of its statements, killed before that one, until it is recorded."""
    number = 0
    while (app, name) not in applied():
        executor = Executor(connection)
        state = executor.loader.project_state((app, name), at_end=False)
        with killed_at(number):
            try:
                executor.apply_migration(state, executor.loader.graph.nodes[app, name])
            except Killed:
                connection.connection.close()  # with the transaction that is open
                connection.connect()
        yield number
        number += 1


def schema() -> dict[str, Any]:
    """Return each table of the service with its columns, indexes and constraints, by name."""
    with connection.cursor() as cursor:
        tables = [name for name in connection.introspection.table_names(cursor) if not name.startswith("sqlite_")]
        found: dict[str, Any] = {}
        for table in tables:
            columns = connection.introspection.get_table_description(cursor, table)
            constraints = connection.introspection.get_constraints(cursor, table)
            found[table] = (
                {column.name: (column.type_code, column.null_ok) for column in columns},
                {
                    name: (facts["columns"], facts["unique"], facts["foreign_key"])
                    for name, facts in constraints.items()
                },
            )
    return found


def applied() -> set[tuple[str, str]]:
    """Return the migrations that are recorded."""
    return set(MigrationRecorder(connection).applied_migrations())


@pytest.mark.skipif(not engine.indexes_online, reason="a migration is one transaction")
@pytest.mark.django_db(transaction=True)
def test_each_migration_goes_on_from_any_statement_before_which_it_was_killed() -> None:
    """Also each that comes later: the test walks all that can be taken back."""
    newest, everything = schema(), applied()
    executor = Executor(connection)
    targets = executor.loader.graph.leaf_nodes()
    try:
        executor.migrate(EARLIEST)
        plan = [migration for migration, _ in Executor(connection).migration_plan(targets)]
        assert len(plan) >= 5
        kills = 0
        for migration in plan:
            kills += sum(1 for _ in statements_of(migration.app_label, migration.name))
        assert kills > 2 * len(plan)
        assert schema() == newest
        assert applied() == everything
    finally:
        Executor(connection).migrate(targets)


@pytest.mark.skipif(not engine.indexes_online, reason="an index is made in the migration's transaction")
@pytest.mark.django_db(transaction=True)
def test_an_invalid_index_is_made_again_and_a_finished_one_stays() -> None:
    name, table = "generation_due_by_lane", "generations_generation"
    [operation] = [
        operation
        for operation in importlib.import_module("generations.migrations.0012_claims_and_pace").Migration.operations
        if getattr(operation, "index", None) is not None and operation.index.name == name
    ]
    state = Executor(connection).loader.project_state(("generations", "0012_claims_and_pace"))
    with connection.cursor() as cursor:
        for is_valid in (False, True):
            cursor.execute("SELECT oid FROM pg_class WHERE relname = %s", [name])
            before = cursor.fetchone()
            cursor.execute(
                "UPDATE pg_index SET indisvalid = %s WHERE indexrelid = to_regclass(%s)", [is_valid, name]
            )  # as an interrupted CREATE INDEX CONCURRENTLY leaves it
            with connection.schema_editor(atomic=False) as editor:
                operation.database_forwards("generations", editor, state, state)
            cursor.execute("SELECT oid FROM pg_class WHERE relname = %s", [name])
            assert (cursor.fetchone() == before) is is_valid
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indrelid = to_regclass(%s)", [table])
        assert {valid for (valid,) in cursor.fetchall()} == {True}


@pytest.mark.django_db(transaction=True)
def test_the_record_of_an_atomic_migration_is_part_of_its_transaction(monkeypatch: Any) -> None:
    """Killed between the commit and the record, a migration could never be applied again."""

    class Migration(migrations.Migration):
        operations = [
            migrations.CreateModel(
                "Thing",
                [
                    ("id", models.BigAutoField(primary_key=True)),
                    ("tenant", models.ForeignKey("tenants.Tenant", models.CASCADE)),
                ],
            )
        ]

    def die(*_: Any) -> None:
        raise Killed

    migration, executor = Migration("0999_thing", "tenants"), Executor(connection)
    state = executor.loader.project_state(executor.loader.graph.leaf_nodes())
    with monkeypatch.context() as killed:
        killed.setattr(executor.recorder, "record_applied", die)
        with pytest.raises(Killed):
            executor.apply_migration(state.clone(), migration)
    assert "tenants_thing" not in connection.introspection.table_names()
    executor.apply_migration(state.clone(), migration)
    assert "tenants_thing" in connection.introspection.table_names()
    executor.unapply_migration(state.clone(), migration)
    assert "tenants_thing" not in connection.introspection.table_names()


def test_a_migration_that_is_not_atomic_has_only_operations_that_can_be_repeated() -> None:
    for path in [*ROOT.glob("*/migrations/0*.py")]:
        module = importlib.import_module(f"{path.parent.parent.name}.migrations.{path.stem}")
        if not module.Migration.atomic:
            assert [each for each in module.Migration.operations if not isinstance(each, REPEATABLE)] == [], path.stem


@pytest.mark.django_db(transaction=True)
def test_a_second_host_waits_for_the_first() -> None:
    waits, has_lock, order = threading.Event(), threading.Event(), list[str]()

    def second() -> None:
        try:
            with engine.migration_lock(waits.set):
                order.append("second")
        finally:
            connection.close()

    thread = threading.Thread(target=second)
    with engine.migration_lock(has_lock.set):
        thread.start()
        assert waits.wait(30)
        order.append("first")
    thread.join(30)
    assert order == ["first", "second"]
    assert not has_lock.is_set()


@pytest.mark.django_db(transaction=True)
def test_the_command_waits_and_says_so_and_a_look_at_the_plan_does_not(capsys: Any) -> None:
    said = threading.Event()

    class Stderr:
        def write(self, text: str) -> None:
            assert "Another host migrates" in text
            said.set()

    def migrate() -> None:
        try:
            call_command("migrate", verbosity=0, stderr=Stderr())
        finally:
            connection.close()

    thread = threading.Thread(target=migrate)
    with engine.migration_lock(lambda: None):
        thread.start()
        assert said.wait(30)
        call_command("migrate", check_unapplied=True, verbosity=0)
    thread.join(60)
    assert not thread.is_alive()


@pytest.mark.story
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_hosts_may_migrate_an_empty_database_at_once(kind: str, request: Any, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/db.sqlite3" if kind == "sqlite" else request.getfixturevalue("own_database")
    env = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
    hosts = [
        subprocess.Popen(
            [sys.executable, "manage.py", "migrate"],
            cwd=ROOT,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [host.communicate()[0] for host in hosts]
    assert [host.returncode for host in hosts] == [0, 0], outputs
    assert sum("No migrations to apply" in output for output in outputs) == 1
