"""Parsers of the shell's options, for the tenants' actions. Each raises ArgumentTypeError with a plain message."""

import getpass
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import partial
from typing import Any

from tenants import actions, amounts, name_lists, times
from tenants.audit import Actor
from tenants.models import Limits, Tenant

UNITS = {"m": "minutes", "h": "hours", "d": "days"}
MAX_COUNT = 2**31 - 1  # as the columns of limits have it


def parse_count(text: str) -> int:
    """Return a whole number from 0 to MAX_COUNT."""
    if not text.isdecimal() or int(text) > MAX_COUNT:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 to {MAX_COUNT}")
    return int(text)


def parse_usd(text: str) -> int:
    """Return the micro-USD of an amount of USD that is not negative: "12.5" becomes 12500000."""
    micro = parse_signed_usd(text)
    if micro < 0:
        raise ArgumentTypeError(f"{text!r} is not an amount of USD of 0 or more")
    return micro


def parse_signed_usd(text: str) -> int:
    """Return the micro-USD of an amount of USD, which may be negative."""
    micro = amounts.parse_usd(text, actions.MAX_ADJUSTMENT_MICRO_USD)
    if micro is None:
        raise ArgumentTypeError(f"{text!r} is not an amount of USD with at most six decimals")
    return micro


def parse_duration(text: str) -> timedelta:
    """Return the duration of a text such as 30m, 24h or 90d."""
    number, unit = text[:-1], text[-1:]
    if not (number.isascii() and number.isdecimal() and len(number) < 6 and unit in UNITS):
        raise ArgumentTypeError(f"{text!r} is not a time such as 30m, 24h or 90d")
    return timedelta(**{UNITS[unit]: int(number)})


def parse_seconds(text: str) -> int:
    """Return the seconds of a text such as 30m, 24h or 90d."""
    return int(parse_duration(text).total_seconds())


def parse_days(text: str) -> int:
    """Return a number of days."""
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise ArgumentTypeError(f"{text!r} is not a number of days")
    return int(text)


def parse_month(text: str) -> date:
    """Return the first day of a month such as 2026-11."""
    try:
        return times.parse_month(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is not a month such as 2026-11") from error


def parse_list(text: str) -> list[str]:
    """Return the names of a list that commas separate. `all` is the empty list, which allows everything."""
    names = name_lists.split(text)
    if not names or ("all" in names and len(names) > 1):  # an empty text may be a variable that was not set
        raise ArgumentTypeError("a list names what is allowed, separated by commas, or is `all`")
    return [] if names == ["all"] else names


def allow_none(parse: Callable[[str], int]) -> Callable[[str], int | None]:
    """Return a parser that also accepts `none`, and returns None for it."""

    def parse_or_none(text: str) -> int | None:
        """Return None for `none`, or the parsed value."""
        return None if text == "none" else parse(text)

    return parse_or_none


def add_limits(parser: ArgumentParser, *, may_be_none: bool = False) -> None:
    """Add an option for each limit. An option that is not used is not among the parsed options."""
    add, wrap = partial(parser.add_argument, default=SUPPRESS), allow_none if may_be_none else (lambda parse: parse)
    for name in Limits.COUNTS:
        add(f"--{name.replace('_', '-')}", type=wrap(parse_count), metavar="N")
    add("--usd-per-month", dest="usd_per_month_micro", type=wrap(parse_usd), metavar="USD")


def add_allow_lists(parser: ArgumentParser) -> None:
    """Add the options of the models and networks that are allowed, with the same rule."""
    add = partial(parser.add_argument, default=SUPPRESS, type=parse_list)
    add("--models", dest="allowed_models", metavar="A,B", help="the models that may be used; all: every model")
    networks = "the networks that keys may be used from, such as 192.0.2.0/24,2001:db8::/32; all: everywhere"
    add("--networks", dest="allowed_networks", metavar="A,B", help=networks)


def add_generation_policy(parser: ArgumentParser) -> None:
    """Add an option for each field of the generation policy, with the same rule."""
    add = partial(parser.add_argument, default=SUPPRESS)
    in_doubt = "if a submission is in doubt: hold it for an operator, fail it, or resubmit it once, which may pay twice"
    add("--on-doubt", choices=Tenant.OnDoubt.values, help=in_doubt)
    deadline = "how long a generation waits while the upstream accepts none, such as 90m; none: SUBMIT_DEADLINE"
    add("--submit-deadline", type=allow_none(parse_seconds), metavar="TIME", help=deadline)
    for name, files in {"video": "videos", "input": "input images"}.items():
        retention = f"days for which {files} are stored; 0: for ever; none: {name.upper()}_DAYS"
        add(f"--{name}-days", type=allow_none(parse_days), metavar="N", help=retention)


def select_options(options: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the options of these names that were used."""
    return {name: options[name] for name in names if name in options}


def add_reason(parser: ArgumentParser) -> None:
    """Add the option of the reason."""
    parser.add_argument("--reason", default="", help="the reason, for the audit log")


def shell_actor(reason: str = "") -> Actor:
    """Return who runs the command, for the audit log."""
    return Actor(name=f"shell:{user_name()}", reason=reason)


def user_name() -> str:
    """Return the name of the operating system's user, for the audit log; "unknown" where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return "unknown"
