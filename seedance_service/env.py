"""Readers of the environment that refuse to guess: a value that is not plainly right stops the start.

Every variable may be given as NAME_FILE, the path of a file that holds it.
"""

import ipaddress
import os
from pathlib import Path
from typing import Any

import environ
from django.core.exceptions import ImproperlyConfigured

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


def text(name: str, default: str = "") -> str:
    path = os.environ.get(f"{name}_FILE")
    if not path or name in os.environ:
        return os.environ.get(name, default).strip()
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE names {path}, which can not be read: {error.strerror}") from error


def words(name: str, default: str = "") -> list[str]:
    """A list of values separated by commas."""
    return [word for word in (part.strip() for part in text(name, default).split(",")) if word]


def flag(name: str, default: bool = False) -> bool:
    value = text(name, "on" if default else "off").lower()
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(f"{name} is {value!r}; it takes on or off.")
    return value in _TRUE


def whole(name: str, default: int, *, least: int, most: int) -> int:
    """A whole number from `least` to `most`."""
    value = text(name, str(default))
    if not (value.isascii() and value.isdecimal() and least <= int(value) <= most):
        raise ImproperlyConfigured(f"{name} is {value!r}; it takes a whole number from {least} to {most}.")
    return int(value)


def one_of(name: str, default: str, choices: dict[str, str]) -> str:
    """What the choice that is named stands for."""
    value = text(name, default).lower()
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}; it takes {', '.join(choices)}.")
    return choices[value]


def hosts(name: str) -> list[str]:
    """Entries such as media.internal, 127.0.0.1:8001 and 10.20.0.0/16."""
    entries = [word.lower() for word in words(name)]
    for network in (entry for entry in entries if "/" in entry):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            sentence = f"{name} holds {network!r}; it takes host, host:port or network/bits."
            raise ImproperlyConfigured(sentence) from error
    return entries


def database(name: str, default: str) -> dict[str, Any]:
    """Django's DATABASES entry for a URL such as postgres://user@host/name or sqlite:////path."""
    url = text(name, default)
    if url.partition("://")[0] not in ("postgres", "postgresql", "sqlite"):
        raise ImproperlyConfigured(f"{name} takes postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:////PATH.")
    return dict(environ.Env.db_url_config(url))
