"""Read and check environment variables, and record what each one is for.

Every variable may be given as NAME_FILE, the path of a file that holds the value. A reader never guesses: a value that
is not plainly right raises ImproperlyConfigured and stops the start.
"""

import ipaddress
import os
from pathlib import Path
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from seedance_service import url_parts

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"", "0", "false", "no", "off"}


class Variable(NamedTuple):
    """An environment variable as docs/SETTINGS.md describes it."""

    name: str
    default: str  # "" means that there is no default
    accepts: str
    help: str


documented: dict[str, Variable] = {}  # by name, in the order of reading


def document(name: str, *, help: str, default: str = "", accepts: str = "text") -> None:
    """Record a variable for docs/SETTINGS.md."""
    documented[name] = Variable(name, default, accepts, help)


def _read(name: str, default: str) -> str:
    """Return the value of a variable, or the content of the file that NAME_FILE names, without outer spaces."""
    path = os.environ.get(f"{name}_FILE")
    if not path or name in os.environ:
        return os.environ.get(name, default).strip()
    try:
        value = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE names {path}, which cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{name}_FILE names {path}, which is not text in UTF-8.") from None
    if not value:
        raise ImproperlyConfigured(f"{name}_FILE names {path}, which is empty.")
    return value


def text(name: str, default: str = "", *, help: str, default_label: str | None = None) -> str:
    """Return a variable as text.

    `default_label` stands for the default in docs/SETTINGS.md, where the default is computed.
    """
    document(name, help=help, default=default if default_label is None else default_label)
    return _read(name, default)


def folder(name: str, default: Path, *, help: str, default_label: str) -> Path:
    """Return a variable as the path of a folder."""
    return Path(text(name, str(default), help=help, default_label=default_label))


def comma_list(name: str, default: str = "", *, help: str) -> list[str]:
    """Return a list of values that are separated by commas."""
    document(name, help=help, default=default, accepts="comma-separated list")
    return [word for word in (part.strip() for part in _read(name, default).split(",")) if word]


def pairs(name: str, *, help: str, accepts: str) -> list[tuple[str, str]]:
    """Return a comma-separated list of LEFT=RIGHT as pairs. The last `=` of an item divides it."""
    items = comma_list(name, help=help)
    document(name, help=help, accepts=accepts)
    found = []
    for item in items:
        left, _, right = (part.strip() for part in item.rpartition("="))
        if not (left and right):
            raise ImproperlyConfigured(f"{name} holds {item!r}; it takes a {accepts.replace('`', '')}.")
        found.append((left, right))
    return found


def flag(name: str, default: bool = False, *, help: str, default_label: str | None = None) -> bool:
    """Return True for on, yes, true or 1, and False for off, no, false, 0 or nothing."""
    label = "on" if default else "off"
    document(name, help=help, default=default_label or label, accepts="`on` or `off`")
    value = _read(name, label).lower()
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(f"{name} is {value!r}; it takes on or off.")
    return value in _TRUE


def integer(name: str, default: int, *, minimum: int = 0, maximum: int, help: str) -> int:
    """Return a whole number from `minimum` to `maximum`."""
    document(name, help=help, default=str(default), accepts=f"{minimum} to {maximum}")
    value = _read(name, str(default))
    if not (value.isascii() and value.isdecimal() and minimum <= int(value) <= maximum):
        raise ImproperlyConfigured(f"{name} is {value!r}; it takes a whole number from {minimum} to {maximum}.")
    return int(value)


def percentages(name: str, default: str, *, help: str) -> list[int]:
    """Return whole percentages from 1 to 100, ascending."""
    words = comma_list(name, default, help=help)
    if not all(word.isascii() and word.isdecimal() and 1 <= int(word) <= 100 for word in words):
        raise ImproperlyConfigured(
            f"{name} is {','.join(words)!r}; it takes whole numbers from 1 to 100, such as 50,80."
        )
    return sorted({int(word) for word in words})


def choice(name: str, default: str, choices: dict[str, str], *, help: str) -> str:
    """Return the value that belongs to the choice in the variable."""
    document(name, help=help, default=default, accepts=" or ".join(f"`{word}`" for word in choices))
    value = _read(name, default).lower()
    if value not in choices:
        raise ImproperlyConfigured(f"{name} is {value!r}; it takes {', '.join(choices)}.")
    return choices[value]


def hosts(name: str, *, help: str) -> list[str]:
    """Return entries such as media.internal, 127.0.0.1:8001 and 10.20.0.0/16, in lower case."""
    entries = [word.lower() for word in comma_list(name, help=help)]
    for network in (entry for entry in entries if "/" in entry):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError as error:
            sentence = f"{name} holds {network!r}; it takes host, host:port or network/bits."
            raise ImproperlyConfigured(sentence) from error
    return entries


def database(name: str, default: str, *, help: str, default_label: str | None = None) -> dict[str, Any]:
    """Return Django's DATABASES entry for a URL such as postgres://user@host/name or sqlite:////path."""
    return url_parts.database(name, text(name, default, help=help, default_label=default_label))


def http_url(name: str, default: str = "", *, help: str, default_label: str | None = None) -> str:
    """Return the http or https URL of another service, without a slash at its end."""
    return url_parts.check_http(name, text(name, default, help=help, default_label=default_label))


def mail_server(name: str, *, help: str) -> url_parts.MailServer:
    """Return the mail server of a URL such as smtp+tls://user:password@host:587."""
    return url_parts.mail_server(name, text(name, help=help))
