"""INSERTs and SELECTs whose text is built once, for every create and every read.

The ORM builds the text again for each row, and takes longer for that than the database takes for the statement.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from django.db import connection
from django.db.models import Field, Model
from django.db.models.expressions import DatabaseDefault
from django.db.models.query import QuerySet, get_related_populators

from tenants.db.engine import engine
from tenants.db.operations import Adapter, Statement


class Insert:
    """The INSERT of one model's rows. It does not return an id that the database assigns."""

    def __init__(self, model: type[Model]) -> None:
        self._model = model

    def __call__(self, row: Model) -> Statement:
        """Return the row's INSERT and mark the row as saved. A caller that does not run it must drop the row."""
        row._state.adding, row._state.db = False, connection.alias
        return self._statement(row.__dict__)

    def with_values(self, **values: Any) -> Statement:
        """Return the INSERT of a row by its columns' values. A column that is not named gets the field's default."""
        defaults = {name: field.get_default() for name, field in self._others(frozenset(values))}
        return self._statement({**defaults, **values})

    def _statement(self, row: dict[str, Any]) -> Statement:
        """Return the INSERT with the row's values as the driver takes them."""
        sql, columns = self._text
        values = []
        for name, adapt in columns:
            value = row[name]
            if isinstance(value, DatabaseDefault):  # the schema's own default
                default: Any = value
                value = row[name] = default.expression.value
            values.append(adapt(value) if adapt and value is not None else value)
        return Statement(sql, values)

    @cache  # noqa: B019  # there are as many as there are callers, and they live as long as the process
    def _others(self, named: frozenset[str]) -> "list[tuple[str, Field[Any, Any]]]":
        """Return the columns that are not named, with their fields."""
        fields = {field.attname: field for field in self._model._meta.concrete_fields}
        assert named <= fields.keys(), named - fields.keys()
        return [(name, field) for name, field in fields.items() if name not in named]

    @cached_property
    def _text(self) -> tuple[str, list[tuple[str, Adapter | None]]]:
        """The SQL, and each column's name with the function that adapts its value."""
        meta = self._model._meta
        fields = [field for field in meta.concrete_fields if field is not meta.auto_field]
        names = ", ".join(f'"{field.column}"' for field in fields)
        places = ", ".join(["%s"] * len(fields))
        sql = f'INSERT INTO "{meta.db_table}" ({names}) VALUES ({places})'  # noqa: S608
        return sql, [(field.attname, engine.adapter(field)) for field in fields]


class Select:
    """A query of the ORM for rows of one model, with the rows they are joined with, whose text is built once.

    `build` returns the query for some values. It is called once, with examples, no two of them equal; each example's
    place in the query is then a placeholder. `has_one_plan`: the server may use one plan for all values.
    """

    def __init__(self, build: Callable[..., QuerySet[Any]], *examples: Any, has_one_plan: bool = True) -> None:
        self._build, self._examples, self._has_one_plan = build, examples, has_one_plan

    def __call__(self, *values: Any) -> Iterator[Any]:
        """Yield the rows for these values, as the ORM would."""
        query, adapted = self._compiled, [engine.adapt(value) for value in values]
        rows = engine.run(query.sql, [adapted[place] for place in query.places], prepare=self._has_one_plan)
        for row in query.compiler.apply_converters(rows, query.converters) if query.converters else rows:
            instance = query.model.from_db(connection.alias, query.names, row[query.start : query.end])
            for populator in query.related:
                populator.populate(row, instance)
            yield instance

    @cached_property
    def _compiled(self) -> "_Compiled":
        """The query, compiled as django.db.models.query.ModelIterable does."""
        compiler = self._build(*self._examples).query.get_compiler(connection.alias)
        sql, parameters = compiler.as_sql()
        compiler.setup_query()
        info = compiler.klass_info
        start, end = info["select_fields"][0], info["select_fields"][-1] + 1
        examples = [engine.adapt(value) for value in self._examples]
        assert all(isinstance(value, str) for value in parameters if value not in examples), parameters
        # A text that `build` has itself is a literal: a partial index does not match a parameter.
        sql %= tuple("%s" if value in examples else _literal(value) for value in parameters)
        return _Compiled(
            compiler=compiler,
            sql=sql,
            places=[examples.index(value) for value in parameters if value in examples],
            converters=compiler.get_converters([column for column, _, _ in compiler.select]),
            model=info["model"],
            names=frozenset(column.target.attname for column, _, _ in compiler.select[start:end]),
            start=start,
            end=end,
            related=get_related_populators(info, compiler.select, connection.alias),  # type: ignore[call-arg]
        )


def _literal(text: str) -> str:
    """Return the text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class _Compiled:
    """A query's text, and how its rows become objects."""

    compiler: Any
    sql: str
    places: Sequence[int]  # the value's index for each placeholder
    converters: dict[int, Any]
    model: type[Model]
    names: frozenset[str]  # from_db looks each field of the model up in it
    start: int
    end: int
    related: list[Any]
