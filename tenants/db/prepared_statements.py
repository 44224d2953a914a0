"""INSERTs and SELECTs whose text is made once, for what every create and every read does: the ORM makes the text anew
for each row, and takes longer for it than the database does.
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
    """The INSERT of one model's rows. It does not ask for an id that the database gives."""

    def __init__(self, model: type[Model]) -> None:
        self._model = model

    def __call__(self, row: Model) -> Statement:
        """Return the row's INSERT, and mark the row as saved: a caller that does not run it must drop the row."""
        row._state.adding, row._state.db = False, connection.alias
        return self._statement(row.__dict__)

    def of(self, **values: Any) -> Statement:
        """Return the INSERT of a row that is not needed as an object, by the names of its columns. A column that is not
        named has its field's default."""
        defaults = {name: field.get_default() for name, field in self._others(frozenset(values))}
        return self._statement({**defaults, **values})

    def _statement(self, row: dict[str, Any]) -> Statement:
        sql, columns = self._text
        values = []
        for name, adapt in columns:
            value = row[name]
            if isinstance(value, DatabaseDefault):  # the schema's own, where nothing was given
                default: Any = value
                value = row[name] = default.expression.value
            values.append(adapt(value) if adapt and value is not None else value)
        return Statement(sql, values)

    @cache  # noqa: B019  # there are as many as there are callers, and they live as long as the process
    def _others(self, named: frozenset[str]) -> "list[tuple[str, Field[Any, Any]]]":
        fields = {field.attname: field for field in self._model._meta.concrete_fields}
        assert named <= fields.keys(), named - fields.keys()
        return [(name, field) for name, field in fields.items() if name not in named]

    @cached_property
    def _text(self) -> tuple[str, list[tuple[str, Adapter | None]]]:
        meta = self._model._meta
        fields = [field for field in meta.concrete_fields if field is not meta.auto_field]
        names = ", ".join(f'"{field.column}"' for field in fields)
        places = ", ".join(["%s"] * len(fields))
        sql = f'INSERT INTO "{meta.db_table}" ({names}) VALUES ({places})'  # noqa: S608
        return sql, [(field.attname, engine.adapter(field)) for field in fields]


class Select:
    """A query of the ORM for rows of one model, and what they are joined with, whose text is made once.

    `build` makes the query of values. It is called once, with examples, each of which is found again in the query.
    """

    def __init__(self, build: Callable[..., QuerySet[Any]], *examples: Any) -> None:
        self._build, self._examples = build, examples

    def __call__(self, *values: Any) -> Iterator[Any]:
        """Yield the rows for these values, as the ORM would."""
        query, given = self._compiled, [engine.adapt(value) for value in values]
        rows = engine.run(query.sql, [given[place] for place in query.places])
        for row in query.compiler.apply_converters(rows, query.converters) if query.converters else rows:
            found = query.model.from_db(connection.alias, query.names, row[query.start : query.end])
            for populator in query.related:
                populator.populate(row, found)
            yield found

    @cached_property
    def _compiled(self) -> "_Compiled":
        """Read the query as django.db.models.query.ModelIterable does."""
        compiler = self._build(*self._examples).query.get_compiler(connection.alias)
        sql, given = compiler.as_sql()
        compiler.setup_query()
        info = compiler.klass_info
        start, end = info["select_fields"][0], info["select_fields"][-1] + 1
        examples = [engine.adapt(value) for value in self._examples]
        return _Compiled(
            compiler=compiler,
            sql=sql,
            places=[examples.index(value) for value in given],
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
    places: Sequence[int]  # of the values, in the order of the text
    converters: dict[int, Any]
    model: type[Model]
    names: list[str]
    start: int
    end: int
    related: list[Any]
