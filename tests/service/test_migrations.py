"""Migrations let the release before them go on: expand, fill, and contract a release later.

While hosts are replaced one after the other, both releases work on one schema. So what a release adds may be left out
by the one before it, what it removes is no longer used, and nothing locks a table that grows.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, migrations, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ModelState, ProjectState

from tenants.db.migrations import AddIndexOnline, RemoveIndexOnline, SetStorage

ROOT = Path(__file__).resolve().parents[2]
# Made before there was a release to go on.
FIRST = {"generations": 12, "tenants": 7, "seedance_service": 1}
GROWING = {
    "generation",
    "event",
    "attempt",
    "label",
    "inputimage",
    "delivery",
    "deliveryattempt",
    "ledgerentry",
    "window",
}
# Of a field: the schema does not hold them.
NOT_IN_THE_SCHEMA = {"blank", "choices", "default", "help_text", "verbose_name"}
# Taken away from models in one release, and from the schema in the next: the second one is named here, with the first.
CONTRACTS: dict[tuple[str, str], str] = {}


def names() -> list[tuple[str, str]]:
    return [
        (app, path.stem)
        for app, first in FIRST.items()
        for path in sorted((ROOT / app / "migrations").glob("[0-9]*.py"))
        if int(path.stem[:4]) >= first
    ]


def loaded(app: str, name: str) -> Any:
    return importlib.import_module(f"{app}.migrations.{name}").Migration


def faults(app: str, name: str) -> Iterator[str]:
    migration = loaded(app, name)
    made = {
        operation.name.lower() for operation in migration.operations if isinstance(operation, migrations.CreateModel)
    }
    added = frozenset(
        operation.name for operation in migration.operations if isinstance(operation, migrations.AddField)
    )
    before = MigrationLoader(None).project_state((app, name), at_end=False)
    for operation in migration.operations:
        if fault := _fault(operation, made, whole=migration.atomic, added=added, before=before, app=app):
            yield f"{operation.describe()}: {fault}"
        operation.state_forwards(app, before)
        if isinstance(operation, migrations.RemoveField | migrations.DeleteModel) and (app, name) not in CONTRACTS:
            yield f"{operation.describe()}: the release before still uses it; name the two releases in CONTRACTS"


def _fault(
    operation: Operation,
    made: set[str],
    *,
    whole: bool,
    added: frozenset[str] = frozenset(),
    before: ProjectState | None = None,
    app: str = "generations",
) -> str:
    """Return what would stop the release before; an empty text if nothing does. `before` has the models before it."""
    model = getattr(operation, "model_name", "").lower()
    if model in made:
        return ""
    match operation:
        case migrations.CreateModel() | migrations.AlterModelOptions() | SetStorage() | migrations.RunPython():
            return ""
        case migrations.RemoveField() | migrations.DeleteModel():
            return ""
        case AddIndexOnline() | RemoveIndexOnline():
            return "needs `atomic = False`" if whole else ""
        case migrations.AddIndex() | migrations.RemoveIndex():
            return "locks a table that grows; tenants.db.migrations has one that does not" if model in GROWING else ""
        case migrations.AddField():
            field = operation.field
            if not field.null and field.db_default is models.NOT_PROVIDED and not field.many_to_many:
                return "the release before leaves it out: it is null, or has a db_default"
            return "an index or a key on it is made under a lock" if field.db_index and model in GROWING else ""
        case migrations.AddConstraint(constraint=models.UniqueConstraint(fields=fields)):
            # Rows of the release before leave a new column empty, so they cannot violate it.
            return "" if added.issuperset(fields) and model not in GROWING else "the release before may violate it"
        case migrations.AlterField():
            old = before.models[app, model].fields[operation.name] if before else None
            is_harmless = model not in GROWING or (old and _is_metadata_only(old, operation.field))
            return "" if is_harmless else "may rewrite the table, under a lock"
        case migrations.RemoveConstraint() if before:
            # A dropped check is a change of the catalogue alone: the release before still writes what satisfied it.
            old_constraint = before.models[app, model].get_constraint_by_name(operation.name)
            is_check = isinstance(old_constraint, models.CheckConstraint)
            return "" if is_check else "the release before may rely on it"
        case migrations.SeparateDatabaseAndState():
            return "changes the database" if operation.database_operations else ""
    return "is not known to be harmless"


def _is_metadata_only(old: Any, new: Any) -> bool:
    """Return whether a changed field rewrites and scans no table: the column becomes nullable, or stays as it is."""
    (_, old_class, old_args, old_options), (_, new_class, new_args, new_options) = old.deconstruct(), new.deconstruct()
    if (old_class, old_args) != (new_class, new_args):
        return False
    changed = {
        name
        for name in (old_options.keys() | new_options.keys()) - NOT_IN_THE_SCHEMA
        if old_options.get(name) != new_options.get(name)
    }
    return not changed or (changed == {"null"} and new.null)


@pytest.mark.parametrize(("app", "name"), names())
def test_a_migration_lets_the_release_before_go_on(app: str, name: str) -> None:
    assert list(faults(app, name)) == []


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        (migrations.AddField("generation", "new", models.IntegerField(default=0)), "db_default"),
        (migrations.AddField("generation", "new", models.IntegerField(db_index=True, null=True)), "under a lock"),
        (migrations.AddIndex("event", models.Index(fields=["at"], name="x")), "locks a table"),
        (AddIndexOnline("event", models.Index(fields=["at"], name="x")), "atomic"),
        (migrations.AlterField("ledgerentry", "reason", models.TextField()), "rewrite"),
        (migrations.AddConstraint("tenant", models.UniqueConstraint(fields=["name"], name="x")), "violate"),
        (migrations.RenameField("tenant", "name", "title"), "not known"),
        (migrations.RunSQL("SELECT 1"), "not known"),
        (migrations.SeparateDatabaseAndState([migrations.RunSQL("SELECT 1")]), "changes"),
    ],
)
def test_the_rules_know_what_would_stop_it(operation: Operation, word: str) -> None:
    assert word in _fault(operation, set(), whole=True)


NULLABLE, REQUIRED = models.CharField(max_length=10, null=True), models.CharField(max_length=10)


@pytest.mark.parametrize(
    ("old", "new", "is_harmless"),
    [
        (REQUIRED, NULLABLE, True),
        (NULLABLE, REQUIRED, False),
        (REQUIRED, models.CharField(max_length=10, choices=[("a", "A")], help_text="One letter."), True),
        (REQUIRED, models.CharField(max_length=11, null=True), False),
        (REQUIRED, models.TextField(null=True), False),
    ],
    ids=["nullable", "required", "choices", "longer", "another-type"],
)
def test_a_changed_field_is_harmless_if_no_row_is_read(old: Any, new: Any, is_harmless: bool) -> None:
    before = ProjectState()
    before.add_model(ModelState("generations", "Event", [("id", models.AutoField(primary_key=True)), ("kind", old)]))
    fault = _fault(migrations.AlterField("event", "kind", new), set(), whole=True, before=before)
    assert fault == ("" if is_harmless else "may rewrite the table, under a lock")


@pytest.mark.parametrize(
    ("constraint", "fault"),
    [
        (models.CheckConstraint(condition=models.Q(id__gt=0), name="x"), ""),
        (models.UniqueConstraint(fields=["id"], name="x"), "the release before may rely on it"),
    ],
    ids=["check", "unique"],
)
def test_a_check_may_be_dropped_and_a_unique_constraint_not(constraint: models.BaseConstraint, fault: str) -> None:
    before = ProjectState()
    fields = [("id", models.AutoField(primary_key=True))]
    before.add_model(ModelState("generations", "Event", fields, options={"constraints": [constraint], "indexes": []}))
    assert _fault(migrations.RemoveConstraint("event", "x"), set(), whole=True, before=before) == fault


@pytest.mark.one_database
@pytest.mark.django_db(transaction=True)
def test_the_newest_migrations_can_be_taken_back(monkeypatch: Any) -> None:
    """On either database: by hand, where a release is taken back for good."""
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes()
    earlier = [("generations", "0011_roles"), ("tenants", "0006_webhooks_scope")]
    try:
        executor.migrate(earlier)
        with connection.cursor() as cursor:
            tables = connection.introspection.table_names(cursor)
        assert "generations_pace" not in tables
    finally:
        MigrationExecutor(connection).migrate(newest)


@pytest.mark.one_database
def test_migrations_and_models_say_the_same(db: None) -> None:
    """Migrations hold functions of models by their paths: where one is moved, its import in old migrations follows."""
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
