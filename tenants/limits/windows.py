"""The usage windows that limits count in: when each starts and ends, and what one generation charges to each.

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
    """An amount (a count, seconds, or micro-USD) to take from one window."""

    kind: Kind
    starts_at: datetime
    amount: int


@dataclass(frozen=True)
class LimitUsage:
    """A limit of a tenant or of a key, and what is used of it in the current window."""

    kind: Kind
    is_of_key: bool  # False: of the whole tenant
    limit: int | None  # None: unlimited
    used: int
    starts_at: datetime
    resets_at: datetime | None  # None for `in_flight`, which is freed when generations finish

    @property
    def remaining(self) -> int | None:
        """The remaining part of the limit, never below 0; None without a limit."""
        return None if self.limit is None else max(self.limit - self.used, 0)


def charges(price_micro: int, seconds: int, at: datetime, zone: ZoneInfo) -> list[Charge]:
    """Return what one generation of `seconds` charges to each window when it is admitted at `at`."""
    amounts = {Kind.SECONDS_PER_MONTH: seconds, Kind.USD_PER_MONTH: price_micro}
    return [Charge(kind, start(kind, at, zone), amounts.get(kind, 1)) for kind in Kind]


def start(kind: Kind, at: datetime, zone: ZoneInfo) -> datetime:
    """Return when the window began in which `at` lies, in UTC."""
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
    """Return when the window ends and an empty one follows. Return None for `in_flight`, which never ends."""
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
    """Return the instant at which the day begins in the time zone, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def month(at: datetime, zone: ZoneInfo) -> date:
    """Return the first day of the month in which `at` lies in the time zone."""
    return at.astimezone(zone).date().replace(day=1)


def next_month(day: date) -> date:
    """Return the first day of the month after the day's month."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def limit_field(kind: Kind) -> str:
    """Return the name of the field of Limits that bounds this kind of window."""
    return "usd_per_month_micro" if kind == Kind.USD_PER_MONTH else kind.value


def limit(holder: Limits, kind: Kind) -> int | None:
    """Return the tenant's or key's limit for this kind of window; None without one."""
    value: int | None = getattr(holder, limit_field(kind))
    return value


def name_of(kind: Kind) -> str:
    """Return a limit's name for people, for example "USD per month"."""
    return kind.value.replace("_", " ").replace("usd", "USD")


def format_amount(kind: Kind, amount: int | None) -> int | str | None:
    """Return an amount as callers read it: micro-USD as USD with six decimals, any other as it is. None stays None."""
    return amounts.format_usd(amount) if kind == Kind.USD_PER_MONTH and amount is not None else amount
