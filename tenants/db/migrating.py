"""Applies migrations so that each can be run again from any point at which it was killed.

An atomic migration is applied, with its record, in one transaction, or not at all. Django itself would commit a
migration that has foreign keys or indexes before it records it; a host killed between the two could never go on. A
migration with `atomic = False` commits each operation by itself, and a second try passes over those that are done.
"""

from typing import Any

from django.db import migrations, transaction
from django.db.migrations.executor import MigrationExecutor

from tenants.db.engine import engine
from tenants.db.migrations import ONLINE

# In a migration that is not atomic: these are seen to be done, or can be done twice. RunPython has to be written so.
REPEATABLE = (
    *ONLINE,
    migrations.CreateModel,
    migrations.AddField,
    migrations.RunPython,
    migrations.AlterModelOptions,
    migrations.SeparateDatabaseAndState,
)


class Executor(MigrationExecutor):
    """Django's executor, whose migrations are Resumable."""

    def apply_migration(self, state: Any, migration: Any, fake: bool = False, fake_initial: bool = False) -> Any:
        """Apply the migration and record it."""
        resumable: Any = Resumable(migration)
        return super().apply_migration(state, resumable, fake=fake, fake_initial=fake_initial)

    def unapply_migration(self, state: Any, migration: Any, fake: bool = False) -> Any:
        """Take the migration back and record that."""
        resumable: Any = Resumable(migration)
        return super().unapply_migration(state, resumable, fake=fake)


class Resumable:
    """A migration that can be applied again, whatever part of it was applied before."""

    def __init__(self, migration: Any) -> None:
        self._migration = migration
        self.atomic = migration.atomic or not engine.indexes_online

    def __getattr__(self, name: str) -> Any:
        return getattr(self._migration, name)

    def apply(self, state: Any, schema_editor: Any) -> Any:
        """Apply all operations that are not done yet, and return the state after them."""
        if self.atomic:
            state = self._migration.apply(state, schema_editor)
            _run_deferred(schema_editor)  # so that Django records the migration in the same transaction
            return state
        for operation in self.operations:
            before = state.clone()
            operation.state_forwards(self.app_label, state)
            if isinstance(operation, ONLINE):
                operation.database_forwards(self.app_label, schema_editor, before, state)
            elif not _is_done(operation, self.app_label, state, schema_editor.connection):
                with transaction.atomic(schema_editor.connection.alias):
                    operation.database_forwards(self.app_label, schema_editor, before, state)
                    _run_deferred(schema_editor)
        return state


def _run_deferred(schema_editor: Any) -> None:
    """Run what the schema editor would run at its end: keys and indexes of new tables."""
    while schema_editor.deferred_sql:
        schema_editor.execute(schema_editor.deferred_sql.pop(0), None)


def _is_done(operation: Any, app_label: str, state: Any, connection: Any) -> bool:
    """Return whether the database has the operation's table or column already."""
    match operation:
        case migrations.CreateModel():
            table = state.apps.get_model(app_label, operation.name)._meta.db_table
            return table in connection.introspection.table_names()
        case migrations.AddField():
            model = state.apps.get_model(app_label, operation.model_name)
            column = model._meta.get_field(operation.name).column
            with connection.cursor() as cursor:
                columns = connection.introspection.get_table_description(cursor, model._meta.db_table)
            return column in [each.name for each in columns]
    return False
