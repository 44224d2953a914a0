"""The state of a model: what its file says, or what an operator has set since, and whether its last day has passed.

All requests of a process share one query for all models, which is repeated after REREAD_SECONDS.
"""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time

from cachetools import TTLCache

from generations.catalog import video_models
from generations.catalog.video_models import VideoModel
from generations.errors import ModelRetired
from generations.models import ModelState
from tenants.db import clock

State = ModelState.State
WARNED_DAYS = 30  # before its last day, operators are warned of a model's end
REREAD_SECONDS = 3.0  # as an API key is cached: within it, an operator's change reaches every process


@dataclass(frozen=True)
class ModelStatus:
    """The state of a model at present, and what is known of its end."""

    state: State
    announced_at: date | None  # days in UTC
    retires_at: date | None  # the first day without the model
    replacement: str | None  # the id of a model that is not retired

    @property
    def is_retired(self) -> bool:
        """True if creates are refused."""
        return self.state == State.RETIRED

    @property
    def is_listed(self) -> bool:
        """True if callers are shown the model without asking for its state."""
        return self.state in (State.ACTIVE, State.DEPRECATED)

    @property
    def is_ending(self) -> bool:
        """True if creates are still taken, and the end is announced."""
        return self.state == State.DEPRECATED or (self.retires_at is not None and not self.is_retired)

    @property
    def ends_at(self) -> datetime | None:
        """The time from which creates are refused."""
        return datetime.combine(self.retires_at, time(), UTC) if self.retires_at else None


def of(model: VideoModel) -> ModelStatus:
    """Return the state of a model."""
    return of_many([model])[0]


def of_many(models: Iterable[VideoModel]) -> list[ModelStatus]:
    """Return the states of the models, in their order."""
    rows, today = overrides(), _today()
    return [_status(model, rows, today, seen=frozenset()) for model in models]


def read(model: VideoModel) -> ModelStatus:
    """Return the state of a model as the database has it in the present transaction, without the cache."""
    return _status(model, _read_overrides(), _today(), seen=frozenset())


def refuse_retired(model: VideoModel, status: ModelStatus) -> None:
    """Raise ModelRetired if the model is retired. The error names the day and the replacement."""
    if not status.is_retired:
        return
    since = f" since {status.retires_at}" if status.retires_at else ""
    remedy = "No other model takes its place."
    if status.replacement:
        remedy = f"Use {status.replacement} in its place: its fields, price and videos may differ."
    raise ModelRetired(model=model.id, since=since, replacement=status.replacement, remedy=remedy)


def _today() -> date:
    return clock.now().astimezone(UTC).date()


def _status(model: VideoModel, rows: Mapping[str, ModelState], today: date, seen: frozenset[str]) -> ModelStatus:
    """Return the state of a model. `seen` has the models that it replaces: a replacement never leads in a circle."""
    row = rows.get(model.id)
    if row is None:
        state, retires_at, replacement = State(model.row.state), model.row.retires_at, model.row.replacement
        announced_at = model.row.announced_at
    else:
        state, retires_at, replacement = State(row.state), row.retires_at, row.replacement or None
        announced_at = row.announced_at or (row.changed_at.astimezone(UTC).date() if row.retires_at else None)
    if retires_at and retires_at <= today:
        state = State.RETIRED
    elif retires_at and state == State.ACTIVE and (announced_at is None or announced_at <= today):
        state = State.DEPRECATED
    return ModelStatus(state, announced_at, retires_at, _living(replacement, rows, today, seen | {model.id}))


def _living(name: str | None, rows: Mapping[str, ModelState], today: date, seen: frozenset[str]) -> str | None:
    """Return the model, or the one that replaces it if it is retired itself; None if none is left."""
    model = video_models.get(name) if name and name not in seen else None
    if model is None:
        return None
    status = _status(model, rows, today, seen)
    return status.replacement if status.is_retired else model.id


def ending_soon() -> list[tuple[VideoModel, int]]:
    """Return the models that end within WARNED_DAYS, each with the days that are left, the first to end first."""
    days = {model.id: days_left(of(model)) for model in video_models.models().values()}
    soon = [(video_models.models()[name], left) for name, left in days.items() if left is not None]
    return sorted(((model, left) for model, left in soon if left <= WARNED_DAYS), key=lambda pair: pair[1])


def days_left(status: ModelStatus) -> int | None:
    """Return the days until the model is retired; None if it is, or no day is known."""
    if status.is_retired or status.retires_at is None:
        return None
    return (status.retires_at - _today()).days


def replacements_of(name: str) -> list[str]:
    """Return the models that replace the model of that id, one after the other, as the database has them now."""
    rows, found = _read_overrides(), list[str]()
    while (model := video_models.get(name)) and name not in found:
        found.append(name)
        row = rows.get(name)
        name = (row.replacement if row else model.row.replacement) or ""
    return found[1:]


_lock = threading.Lock()
_cached: TTLCache[str, dict[str, ModelState]] = TTLCache(1, REREAD_SECONDS)


def overrides() -> Mapping[str, ModelState]:
    """Return the rows that operators have set, by model, as they were REREAD_SECONDS ago at most."""
    with _lock:
        rows = _cached.get("rows")
    if rows is None:
        rows = _read_overrides()
        with _lock:
            _cached["rows"] = rows
    return rows


def _read_overrides() -> dict[str, ModelState]:
    """Read the rows that operators have set, by model: at most one for each model."""
    return {row.model: row for row in ModelState.objects.all()}


def forget() -> None:
    """Read the rows again at the next request: this process has changed one."""
    with _lock:
        _cached.clear()
