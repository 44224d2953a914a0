"""Readers of the environment that refuse to guess: a value that is not plainly right stops the start.

Every variable may be given as NAME_FILE, the path of a file that holds it.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

_env = environ.FileAwareEnv()
_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}
T = TypeVar("T")


def text(name: str, default: str = "") -> str:
    return str(_env(name, default=default)).strip()


def words(name: str, default: str = "") -> list[str]:
    """A list of values separated by commas."""
    return [word for word in (part.strip() for part in text(name, default).split(",")) if word]


def flag(name: str, default: bool = False) -> bool:
    value = text(name, "on" if default else "off").lower()
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(f"{name} is {value!r}; it takes on or off.")
    return value in _TRUE


def whole(name: str, default: int, *, least: int = 0) -> int:
    """A whole number of at least `least`."""
    return _number(name, str(default), int, "a whole number", least)


def seconds(name: str, default: float, *, least: float = 0) -> float:
    return _number(name, str(default), float, "a number of seconds", least)


def _number(name: str, default: str, kind: Callable[[str], T], what: str, least: Any) -> T:
    value = text(name, default)
    try:
        number: Any = kind(value)
    except ValueError:
        number = None
    if number is None or not number >= least:
        raise ImproperlyConfigured(f"{name} is {value!r}; it takes {what}, at least {least}.")
    return number  # type: ignore[no-any-return]


def database(name: str, default: str) -> dict[str, Any]:
    """Django's DATABASES entry for a URL such as postgres://user@host/name or sqlite:////path."""
    url = text(name, default)
    if url.partition("://")[0] not in ("postgres", "postgresql", "sqlite"):
        raise ImproperlyConfigured(f"{name} takes postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:////PATH.")
    return dict(environ.Env.db_url_config(url))
