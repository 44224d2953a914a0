"""The windows that limits count in: when each starts and ends, and what one generation takes of it.

Days and months begin at midnight in the tenant's time zone; minutes are the same everywhere.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tenants import amounts
from tenants.models import Limits, Window

Kind = Window.Kind
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Charge:
    """`amount` (a count, seconds, or micro-USD) to take from one window."""

    kind: Kind
    starts_at: datetime
    amount: int


@dataclass(frozen=True)
class Standing:
    """How one limit stands: of a tenant, or of a key of it."""

    kind: Kind
    of_key: bool
    limit: int | None
    used: int
    starts_at: datetime
    resets_at: datetime | None  # None for `in_flight`, which frees as generations end

    @property
    def remaining(self) -> int | None:
        return None if self.limit is None else max(self.limit - self.used, 0)


def charges(price_micro: int, seconds: int, at: datetime, zone: ZoneInfo) -> list[Charge]:
    """What one generation of `seconds` takes when it is admitted at `at`."""
    amounts = {Kind.SECONDS_PER_MONTH: seconds, Kind.USD_PER_MONTH: price_micro}
    return [Charge(kind, start(kind, at, zone), amounts.get(kind, 1)) for kind in Kind]


def start(kind: Kind, at: datetime, zone: ZoneInfo) -> datetime:
    """When the window began in which `at` lies, in UTC."""
    match kind:
        case Kind.IN_FLIGHT:
            return EPOCH
        case Kind.REQUESTS_PER_MINUTE:
            return at.astimezone(UTC).replace(second=0, microsecond=0)
        case Kind.PER_DAY:
            return midnight(at.astimezone(zone).date(), zone)
        case _:
            return midnight(month(at, zone), zone)


@lru_cache(maxsize=10_000)
def end(kind: Kind, starts_at: datetime, zone: ZoneInfo) -> datetime | None:
    """When the window is over and its successor is empty; None for `in_flight`, which never is."""
    match kind:
        case Kind.IN_FLIGHT:
            return None
        case Kind.REQUESTS_PER_MINUTE:
            return starts_at + timedelta(minutes=1)
        case Kind.PER_DAY:
            return midnight(starts_at.astimezone(zone).date() + timedelta(days=1), zone)
        case _:
            return midnight(next_month(starts_at.astimezone(zone).date()), zone)


@lru_cache(maxsize=10_000)
def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which the day begins there, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def month(at: datetime, zone: ZoneInfo) -> date:
    """The first day of the month in which `at` lies there."""
    return at.astimezone(zone).date().replace(day=1)


def next_month(day: date) -> date:
    """The first of the month after that day's."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def limit_field(kind: Kind) -> str:
    """The field of Limits that bounds this kind of window."""
    return "usd_per_month_micro" if kind == Kind.USD_PER_MONTH else kind.value


def limit(holder: Limits, kind: Kind) -> int | None:
    value: int | None = getattr(holder, limit_field(kind))
    return value


def shown(kind: Kind, amount: int | None) -> int | str | None:
    """As a caller reads it: micro-USD as USD with six decimals, anything else as it is. None, no limit, stays None."""
    return amounts.usd(amount) if kind == Kind.USD_PER_MONTH and amount is not None else amount
