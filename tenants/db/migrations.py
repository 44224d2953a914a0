"""Operations of migrations during which the service keeps running, whatever the size of the table."""

from typing import Any

from django.db import migrations
from django.db.migrations.operations.base import Operation


class AddIndexOnline(migrations.AddIndex):
    """Adds an index; on PostgreSQL by CREATE INDEX CONCURRENTLY, which takes no lock that a write waits for.

    The migration needs `atomic = False`. An interrupted one leaves an invalid index, which the next try drops. An index
    that a try before has finished stays. Source:
    https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
    """

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        if _is_valid(schema_editor.connection, self.index.name):
            return
        schema_editor.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{self.index.name}"')
        model = to_state.apps.get_model(app_label, self.model_name)
        schema_editor.add_index(model, self.index, concurrently=True)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        _drop(schema_editor, from_state.apps.get_model(app_label, self.model_name), self.index)


class RemoveIndexOnline(migrations.RemoveIndex):
    """Removes an index; on PostgreSQL by DROP INDEX CONCURRENTLY. The migration needs `atomic = False`."""

    atomic = False

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        index = from_state.models[app_label, self.model_name_lower].get_index_by_name(self.name)
        _drop(schema_editor, from_state.apps.get_model(app_label, self.model_name), index)


class SetStorage(Operation):
    """Sets storage parameters of a table, on PostgreSQL alone, without a lock that a read or a write waits for.

    Source:
    https://www.postgresql.org/docs/current/sql-createtable.html#SQL-CREATETABLE-STORAGE-PARAMETERS
    """

    reversible = True

    def __init__(self, table: str, **parameters: float) -> None:
        self.table, self.parameters = table, parameters

    def deconstruct(self) -> tuple[str, list[str], dict[str, float]]:
        return type(self).__name__, [self.table], self.parameters

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Change nothing: models have no storage parameters."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            parameters = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
            schema_editor.execute(f'ALTER TABLE "{self.table}" SET ({parameters})')

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f'ALTER TABLE "{self.table}" RESET ({", ".join(self.parameters)})')


ONLINE = (AddIndexOnline, RemoveIndexOnline, SetStorage)  # each can be done twice, and none is part of a transaction


def _is_valid(connection: Any, name: str) -> bool:
    """Return whether PostgreSQL has a finished index of that name, in the first schema of the search path."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(%s))", [name])
        return bool(cursor.fetchone() == (True,))


def _drop(schema_editor: Any, model: Any, index: Any) -> None:
    """Drop the index, concurrently where the database can."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.remove_index(model, index, concurrently=True)
    else:
        schema_editor.remove_index(model, index)
