"""Split the URLs of settings, and never guess: a `/` in a password would make the rest of it a path.

The library's own functions print parts of what they cannot read, and with that a part of a password. The errors here
name the setting alone.
"""

import ipaddress
import re
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from django.core.exceptions import ImproperlyConfigured

URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://"
    r"(?:(?P<user>[^:@/?#]*)(?::(?P<password>[^@/?#]*))?@)?"
    r"(?P<hosts>[^@/?#]*)"
    r"(?P<path>/[^@?#]*)?"
    r"(?:\?(?P<query>[^@#]*))?"
)
HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(?::(?P<port>[0-9]{1,5}))?")
STRAY_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
ESCAPES = "%2F for /, %3F for ?, %23 for #, %40 for @ and %25 for %"
BASE_OPTIONS = {"DISABLE_SERVER_SIDE_CURSORS", "CONN_MAX_AGE", "CONN_HEALTH_CHECKS", "ATOMIC_REQUESTS", "AUTOCOMMIT"}


class Url(NamedTuple):
    """The decoded parts of a URL. `hosts` and `ports` are lists: PostgreSQL takes several. An absent part is empty."""

    scheme: str
    user: str
    password: str
    hosts: list[str]
    ports: list[str]
    path: str
    query: list[tuple[str, str]]


class MailServer(NamedTuple):
    """A mail server as Django's settings have it. Without a host there is none."""

    host: str = ""
    port: int = 25
    user: str = ""
    password: str = ""
    use_tls: bool = False  # STARTTLS, after the connection
    use_ssl: bool = False  # TLS from the first byte


def split(name: str, text: str, form: str) -> Url:
    """Return the parts of a setting's URL. `form` shows in the error what the setting takes."""
    match = URL.fullmatch(text)
    if match is None or not text.isprintable() or STRAY_PERCENT.search(text):
        raise unreadable(name, form)
    places = [HOST.fullmatch(place) for place in match["hosts"].split(",")]
    try:
        user, password, path = (unquote(match[part] or "", errors="strict") for part in ("user", "password", "path"))
        hosts = [unquote(place["host"], errors="strict") for place in places if place]
        pairs = parse_qsl(match["query"] or "", keep_blank_values=True, strict_parsing=bool(match["query"]))
    except ValueError:  # of UTF-8, or of the query
        raise unreadable(name, form) from None
    ports = [place["port"] or "" for place in places if place]
    has_wrong_port = any(port and not 0 < int(port) < 65536 for port in ports)
    if None in places or has_wrong_port or "\0" in user + password + path + "".join(hosts):
        raise unreadable(name, form)
    return Url(match["scheme"].lower(), user, password, hosts, ports, path, pairs)


def unreadable(name: str, form: str) -> ImproperlyConfigured:
    """Return the error of a URL that cannot be read, which never shows the URL."""
    return ImproperlyConfigured(
        f"{name} is not a URL that can be read; it takes {form}. In user, password and name write {ESCAPES}."
    )


def database(name: str, text: str) -> dict[str, Any]:
    """Return Django's DATABASES entry for a URL of PostgreSQL or SQLite."""
    form = "postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:////PATH"
    if text == "sqlite://:memory:":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    url = split(name, text, form)
    path = url.path.removeprefix("/")
    if url.scheme == "sqlite":
        if url.hosts != [""] or url.query:
            raise unreadable(name, form)
        if not path:
            raise ImproperlyConfigured(f"{name} names no file; it takes sqlite:////PATH.")
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": path}
    if url.scheme not in ("postgres", "postgresql"):
        raise ImproperlyConfigured(f"{name} takes {form}.")
    hosts = url.hosts
    if path.startswith("/") and hosts == [""]:  # postgres:////run/postgresql/NAME, by the folder of a socket
        folder, _, path = path.rpartition("/")
        hosts = [folder]
    if not path:
        raise ImproperlyConfigured(f"{name} names no database; it takes {form}.")
    if "/" in path:
        raise unreadable(name, form)
    options: dict[str, Any] = {}
    entry = {"ENGINE": "django.db.backends.postgresql", "NAME": path, "USER": url.user, "PASSWORD": url.password}
    entry |= {"HOST": ",".join(hosts).replace("[", "").replace("]", ""), "PORT": ",".join(url.ports).strip(",")}
    for option, value in url.query:
        if option.upper() in BASE_OPTIONS:
            entry[option.upper()] = _value(value)
        else:
            options[option] = int(value) if value.isdecimal() else value
    return {**entry, "OPTIONS": options}


def _value(text: str) -> Any:
    """Return True, False or a number where the text is one, as Django's own options are."""
    words = {"true": True, "false": False, "on": True, "off": False}
    return int(text) if text.isdecimal() else words.get(text.lower(), text)


def check_http(name: str, text: str) -> str:
    """Return the URL of an HTTP service, without a slash at its end; an empty text as it is."""
    form = "http://HOST or https://HOST, with a port or a path, and without user, query and fragment"
    if not text:
        return ""
    url = split(name, text, form)
    if url.scheme not in ("http", "https") or len(url.hosts) != 1 or not url.hosts[0] or url.query or "@" in text:
        raise unreadable(name, form)
    return text.rstrip("/")


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine, by its name or address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def mail_server(name: str, text: str) -> MailServer:
    """Return the mail server of a URL; none for an empty text."""
    if not text:
        return MailServer()
    form = "smtp://HOST:25, smtp+tls://USER:PASSWORD@HOST:587 or smtp+ssl://USER:PASSWORD@HOST:465"
    url, ports = split(name, text, form), {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}
    if url.scheme not in ports or len(url.hosts) != 1 or not url.hosts[0] or url.path.strip("/") or url.query:
        raise unreadable(name, form)
    port = int(url.ports[0] or ports[url.scheme])
    return MailServer(url.hosts[0], port, url.user, url.password, url.scheme == "smtp+tls", url.scheme == "smtp+ssl")
