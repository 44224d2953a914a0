"""Statements whose text is made once, for the one way that every create takes: the ORM makes it anew for each row, and
takes longer for it than the database does.
"""

import select
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import DateField, DateTimeField, Field, ForeignKey, JSONField, Model, UUIDField
from django.db.models.expressions import DatabaseDefault
from django.db.models.query import QuerySet, get_related_populators

Adapter = Callable[[Any], Any] | None  # how the database takes a value; None: as it is

IS_POSTGRESQL = connection.vendor == "postgresql"
Fragment = tuple[str, list[Any]]  # a statement, with `%s` for each of its values


def run(sql: str, values: Sequence[Any]) -> list[Any]:
    """The rows, where it has some; all of them, since a statement that is not read to its end keeps SQLite's locks. A
    mistake of the database comes as Django's own error.
    """
    here = connections[DEFAULT_DB_ALIAS]  # `connection` would look for it at each word
    if IS_POSTGRESQL and here.connection and not here.in_atomic_block:
        _look_after(here.connection)
    return run_by(here, sql, values)


def run_by(here: BaseDatabaseWrapper, sql: str, values: Sequence[Any]) -> list[Any]:
    """As `run`, by that connection, whichever thread's it is."""
    here.ensure_connection()
    with here.wrap_database_errors:
        if IS_POSTGRESQL:
            # As the server has it: Django's cursor would write each value into the text, and the driver's own reads a
            # text of more than fifty values anew each time, which took two fifths of a create.
            cursor: Any = psycopg.RawCursor(here.connection).execute(_numbered(sql), values)
        else:
            cursor = here.connection.execute(_with_marks(sql), values)
        return list(cursor.fetchall()) if cursor.description else []


def _look_after(kept: Any) -> None:
    """One that a restart of the server has cut fails no request. Django asks it something before each first query;
    one that was cut has something to say unasked, which costs no trip.
    """
    poll = select.poll()
    poll.register(kept.fileno(), select.POLLIN)
    if poll.poll(0) and not connection.is_usable():
        connection.close()


@cache
def _numbered(sql: str) -> str:
    """`$1, $2, …` in the place of `%s`."""
    first, *rest = sql.split("%s")
    return first + "".join(f"${number}{part}" for number, part in enumerate(rest, 1))


@cache
def _with_marks(sql: str) -> str:
    """As SQLite has it."""
    return sql.replace("%s", "?")


class Insert:
    """The INSERT of one model's rows. An id that the database gives is not asked for."""

    def __init__(self, model: type[Model]) -> None:
        self._model = model

    def __call__(self, row: Model) -> Fragment:
        """As if it were saved already: who does not run it must not go on with the row."""
        row._state.adding, row._state.db = False, connection.alias
        return self._fragment(row.__dict__)

    def of(self, **facts: Any) -> Fragment:
        """Of a row that nobody needs as an object. By the names of the columns; what is not named has its default."""
        known = {name: field.get_default() for name, field in self._others(frozenset(facts))}
        return self._fragment({**known, **facts})

    def _fragment(self, known: dict[str, Any]) -> Fragment:
        sql, columns = self._statement
        values = []
        for name, adapt in columns:
            value = known[name]
            if isinstance(value, DatabaseDefault):  # as the schema has it, where nobody has said anything
                said: Any = value
                value = known[name] = said.expression.value
            values.append(adapt(value) if adapt and value is not None else value)
        return sql, values

    @cache  # noqa: B019  # they are as many as there are callers, and live as long as the process
    def _others(self, named: frozenset[str]) -> "list[tuple[str, Field[Any, Any]]]":
        fields = {field.attname: field for field in self._model._meta.concrete_fields}
        assert named <= fields.keys(), named - fields.keys()
        return [(name, field) for name, field in fields.items() if name not in named]

    @cached_property
    def _statement(self) -> tuple[str, list[tuple[str, Adapter]]]:
        meta = self._model._meta
        fields = [field for field in meta.concrete_fields if field is not meta.auto_field]
        names = ", ".join(f'"{field.column}"' for field in fields)
        places = ", ".join(["%s"] * len(fields))
        sql = f'INSERT INTO "{meta.db_table}" ({names}) VALUES ({places})'  # noqa: S608
        return sql, [(field.attname, _adapter(field)) for field in fields]


def _adapter(field: "Field[Any, Any]") -> Adapter:
    if isinstance(field, ForeignKey):
        return _adapter(field.target_field)
    if isinstance(field, JSONField):
        return lambda value: connection.ops.adapt_json_value(value, field.encoder)
    if IS_POSTGRESQL or not isinstance(field, UUIDField | DateTimeField | DateField):
        return None
    if isinstance(field, DateTimeField):
        return connection.ops.adapt_datetimefield_value
    if isinstance(field, UUIDField):
        return lambda value: value.hex
    return lambda value: field.get_db_prep_save(value, connection)


_KEY: "UUIDField[Any, Any]" = UUIDField()


class Select:
    """A query of the ORM for rows of one model, and what they are joined with, whose text is made once.

    `made` makes it of values. It is told examples, each of which stands in the query once, and is known again there.
    """

    def __init__(self, made: Callable[..., QuerySet[Any]], *examples: Any) -> None:
        self._made, self._examples = made, examples

    def __call__(self, *values: Any) -> Iterator[Any]:
        made, given = self._compiled, self._adapted(values)
        rows = run(made.sql, [given[place] for place in made.places])
        for row in made.compiler.apply_converters(rows, made.converters) if made.converters else rows:
            one = made.model.from_db(connection.alias, made.names, row[made.start : made.end])
            for populator in made.related:
                populator.populate(row, one)
            yield one

    @staticmethod
    def _adapted(values: Sequence[Any]) -> list[Any]:
        """As the text takes them: of all that is asked for here, SQLite has only keys in a form of its own."""
        return [_KEY.get_db_prep_save(one, connection) if isinstance(one, UUID) else one for one in values]

    @cached_property
    def _compiled(self) -> "_Compiled":
        """As django.db.models.query.ModelIterable reads what it is about to ask."""
        compiler = self._made(*self._examples).query.get_compiler(connection.alias)
        sql, given = compiler.as_sql()
        compiler.setup_query()
        info = compiler.klass_info
        start, end = info["select_fields"][0], info["select_fields"][-1] + 1
        known = self._adapted(self._examples)
        return _Compiled(
            compiler=compiler,
            sql=sql,
            places=[known.index(value) for value in given],
            converters=compiler.get_converters([column for column, _, _ in compiler.select]),
            model=info["model"],
            names=[column.target.attname for column, _, _ in compiler.select[start:end]],
            start=start,
            end=end,
            related=get_related_populators(info, compiler.select, connection.alias),  # type: ignore[call-arg]
        )


@dataclass(frozen=True)
class _Compiled:
    compiler: Any
    sql: str
    places: list[int]  # of the values, in the order of the text
    converters: dict[int, Any]
    model: type[Model]
    names: list[str]
    start: int
    end: int
    related: list[Any]
