"""The operations that this service needs of a database beyond the ORM, each with a sentence.

`postgresql.py` and `sqlite.py` implement them for their database; `engine.py` picks one of the two, once. No module
outside of this package knows which database it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple, TypeVar

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connection, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model, QuerySet

Row = TypeVar("Row", bound=Model)
Adapter = Callable[[Any], Any]  # turns a field's value into what the database's driver takes


class Statement(NamedTuple):
    """SQL with a `%s` for each of the values."""

    sql: str
    values: Sequence[Any]


@dataclass(frozen=True)
class Plan:
    """A transaction that commits only if every condition holds. Its rows are locked in the order of these parts."""

    writes: Sequence[Statement]  # INSERTs, which PostgreSQL runs last: a plan that it refuses has inserted nothing
    required: Statement  # a SELECT of rows that have to exist; each is locked
    required_count: int
    holder: Statement  # a SELECT of one row, which is locked; `{after}` is where the WHERE takes another condition
    expected: Mapping[str, Any]  # the values that the holder's row has to have, by column; a list for a JSON column
    counters: Statement  # an UPDATE … RETURNING of the counters that have capacity, with `{after}` too
    counters_count: int
    returning: str  # the columns that the UPDATE returns


class Description(NamedTuple):
    """The database as `manage.py doctor` describes it."""

    sentence: str
    at: datetime | None = None  # the server's clock; None where there is no server
    max_connections: int | None = None
    one_host_only: bool = False


class Risk(NamedTuple):
    """Something that a commit may not survive, and how to avoid it; both are sentences."""

    fact: str
    fix: str


class Engine(ABC):
    """A database: the operations, and those implementations that are the same for both databases."""

    indexes_online: ClassVar[bool]  # whether an index can be made while others write, outside of a transaction

    def run(self, sql: str, values: Sequence[Any], *, prepare: bool = True) -> list[Any]:
        """Run a statement by this thread's connection and return all of its rows; none where it returns no rows.

        The ORM would build the text again each time. Without `prepare` the server plans the statement for these very
        values. Raise Django's own database errors.
        """
        return self.run_on(connections[DEFAULT_DB_ALIAS], sql, values, prepare=prepare)

    @abstractmethod
    def run_on(self, by: BaseDatabaseWrapper, sql: str, values: Sequence[Any], *, prepare: bool = True) -> list[Any]:
        """Run a statement as `run` does, on the connection `by`, which may be another thread's."""

    def write(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """Run one writing statement in a transaction of its own; in a caller's transaction as a part of that."""
        return self.run(sql, values)

    @abstractmethod
    def run_plan(self, plan: Plan) -> list[Any] | None:
        """Run the plan and return the rows of its counters.

        Return None, with nothing written, if a condition does not hold. A required row is missing, the holder is not
        as expected, or a counter is missing or has no capacity. In a caller's transaction the plan is a savepoint.
        """

    @abstractmethod
    def with_row_locks(self, select: str) -> str:
        """Return the SELECT as one that locks its rows against changes until the transaction ends."""

    @abstractmethod
    def lock(self, name: str, *, shared: bool) -> None:
        """Lock the name until the caller's transaction ends: alone, or together with others that share it."""

    @abstractmethod
    def table_of_rows(self, types: Sequence[str], rows: Sequence[Sequence[Any]]) -> Statement:
        """Return a query that returns these rows, for a WITH clause. There has to be at least one row.

        `types`: PostgreSQL's name of each column's type.
        """

    @abstractmethod
    def typed_placeholder(self, sql_type: str) -> str:
        """Return a `%s` of that PostgreSQL type, for a VALUES list whose types the database cannot infer."""

    @abstractmethod
    def adapter(self, field: "Field[Any, Any]") -> Adapter | None:
        """Return the function that turns the field's value into what the driver takes. None: the value is right."""

    @abstractmethod
    def adapt(self, value: Any) -> Any:
        """Return a time, a day or a UUID as the driver takes it, and any other value as it is."""

    def local_day(self, column: str, time_zone: str) -> Statement:
        """Return the expression for the day of a time's column in the time zone of that name."""
        return Statement(*connection.ops.datetime_cast_date_sql(column, (), time_zone))

    @abstractmethod
    def claim(self, due: QuerySet[Row], limit: int, until: datetime, names: Collection[str] = ()) -> list[Row]:
        """Claim up to `limit` rows, the oldest `due_at` first, and return them.

        Their `due_at` becomes `until`, their `fencing_token` counts up, and `was_due` says when they were due. Rows
        that another worker is claiming are skipped. `names`: the columns to read, none of them JSON; empty: all.
        """

    @staticmethod
    def build_rows(model: type[Row], names: Collection[str], values: Iterable[Sequence[Any]]) -> list[Row]:
        """Return rows of the ORM from their columns `names`, in the order of the model's fields."""
        known = frozenset(names)  # from_db looks each field of the model up in it
        return [model.from_db(DEFAULT_DB_ALIAS, known, row) for row in values]

    @abstractmethod
    def on_connect(self, connection: BaseDatabaseWrapper, **_: Any) -> None:
        """Set up a connection that was just opened; receives Django's signal `connection_created`."""

    @abstractmethod
    def clock_difference(self) -> timedelta:
        """Measure how far the database's clock is ahead of this host's. Zero where there is no server."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Open a transaction in which all reads see the database as of one moment."""

    @abstractmethod
    def durability_risks(self) -> list[Risk]:
        """Return what may lose commits at a crash or a failover of the database's server."""

    @abstractmethod
    def why_no_writes(self) -> str:
        """Ask the database whether it takes writes at present. Return a sentence that says why not, or "".

        Raise Django's database errors. A full disk of a server shows only when a write fails: see `is_refused_write`.
        """

    @abstractmethod
    def is_refused_write(self, error: Exception) -> bool:
        """Return whether Django's database error says that no write is taken: a full disk, or a read-only database."""

    def is_outage(self, error: Exception) -> bool:
        """Return whether a statement failed by the database's state, and may succeed later as it is.

        So is a statement on a table or a column that a newer release has not added yet.
        """
        return isinstance(error, OperationalError | InterfaceError) or self.is_refused_write(error)

    @abstractmethod
    def migration_lock(self, on_wait: Callable[[], None]) -> AbstractContextManager[None]:
        """Hold the lock that one host at a time has while it migrates this database.

        Call `on_wait` once if another host has the lock, and wait as long as that host migrates. The lock of a host
        that dies is free at once.
        """

    @abstractmethod
    def describe(self) -> Description:
        """Read the database's version and what else an operator needs to know of the database."""


@contextmanager
def database_errors(by: BaseDatabaseWrapper) -> Iterator[None]:
    """Open the connection if it is closed, and raise the driver's errors as Django's."""
    by.ensure_connection()
    with by.wrap_database_errors:
        yield


def release_connection() -> None:
    """Close this thread's connection before a long wait, unless a transaction is open in it."""
    if not connection.in_atomic_block:
        connection.close()
