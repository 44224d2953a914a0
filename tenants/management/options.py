"""What the shell's options may hold, read into what `administration` takes; anything else is a sentence."""

import getpass
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from tenants import actions, amounts
from tenants.models import Limits, Tenant

UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def count(text: str) -> int:
    if not text.isdecimal() or int(text) >= 2**31:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to {2**31 - 1}")
    return int(text)


def micro_usd(text: str) -> int:
    """12.5 -> 12500000."""
    micro = signed_micro_usd(text)
    if micro < 0:
        raise ArgumentTypeError(f"{text!r} is not an amount of USD of 0 or more")
    return micro


def signed_micro_usd(text: str) -> int:
    micro = amounts.parse_usd(text, actions.MAX_ADJUSTMENT_MICRO_USD)
    if micro is None:
        raise ArgumentTypeError(f"{text!r} is not an amount of USD with at most six decimals")
    return micro


def duration(text: str) -> timedelta:
    """30m, 24h or 90d."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal() and len(number) < 6 and unit in UNITS):
        raise ArgumentTypeError(f"{text!r} is not a time such as 30m, 24h or 90d")
    return timedelta(**{UNITS[unit]: int(number)})


def month(text: str) -> date:
    """2026-11 -> its first day."""
    try:
        first = datetime.strptime(text, "%Y-%m").date()  # noqa: DTZ007 a month has no time
        return first.replace(year=first.year if 2000 <= first.year < 3000 else 0)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a month such as 2026-11") from error


def user() -> str:
    """Who typed the command, as the audit log names them."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"


def or_none(read: Any) -> Any:
    def reader(text: str) -> int | None:
        return None if text == "none" else read(text)

    return reader


def add_limits(action: ArgumentParser, *, may_be_none: bool = False) -> None:
    """Those that are not given are not in the options at all."""
    add, wrapped = partial(action.add_argument, default=SUPPRESS), or_none if may_be_none else (lambda read: read)
    for name in Limits.COUNTS:
        add(f"--{name.replace('_', '-')}", type=wrapped(count), metavar="N")
    add("--usd-per-month", dest="usd_per_month_micro", type=wrapped(micro_usd), metavar="USD")


def add_wants(action: ArgumentParser) -> None:
    """How its generations are treated; those that are not given are not in the options at all."""
    add = partial(action.add_argument, default=SUPPRESS)
    doubt = "where a submit's answer is lost: hold it for ops, fail it, or resubmit it once, which may pay twice"
    add("--on-doubt", choices=Tenant.OnDoubt.values, help=doubt)
    deadline = "how long one waits for an upstream that takes none, such as 90m; none: as SUBMIT_DEADLINE says"
    add("--submit-deadline", type=or_none(seconds), metavar="TIME", help=deadline)
    for name, things in {"video": "videos", "input": "pictures"}.items():
        kept = f"how long its {things} are kept; 0: for ever; none: as {name.upper()}_DAYS says"
        add(f"--{name}-days", type=or_none(days), metavar="N", help=kept)


def days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ArgumentTypeError(f"{text!r} is not a number of days")
    return int(text)


def seconds(text: str) -> int:
    return int(duration(text).total_seconds())


def given(options: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return those of the options that were given: Limits.NAMES, or Tenant.GENERATION_POLICY_FIELDS."""
    return {name: options[name] for name in names if name in options}
