"""Check that URLs, hosts and addresses are public, or are private ones that the settings admit.

FETCH_ALLOW_HOSTS is for what callers choose: URLs of images and webhooks. The service's own upstream and bucket, and
what VIDEO_ALLOW_HOSTS names, are admitted for the upstream's videos alone.
"""

import ipaddress
import re
from collections.abc import Collection

import httpx
from django.conf import settings

from generations.outbound.errors import FetchRefused
from generations.outbound.look_ups import Resolver

MAX_URL_CHARS = 8192  # presigned URLs with a session token have up to 2,000
PORTS = (443, 8443)
# Settings. Those of upstream accounts are added when the wires are loaded.
OWN_URLS = ["NOVITA_BASE_URL", "ARK_BASE_URL", "SANDBOX_BASE_URL", "S3_ENDPOINT_URL"]
DENIED_CHARS = set('\\"<>^`{|}')

# Not Python's is_global: it calls several of these global, and changes between releases. Sources: the IANA
# special-purpose registries, and 168.63.129.16, a public address at which Azure serves its metadata.
DENIED_V4 = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
        "192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 "
        "198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32"
    ).split()
]
GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # all others are denied: mapped, NAT64, unique local, multicast …
DENIED_V6 = [
    ipaddress.IPv6Network(text) for text in "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20".split()
]
# The text as the caller wrote it. Parsers repair some other texts, each in its own way. The pattern means the same to
# Python and to ECMA 262.
PUBLIC_URL = r"[Hh][Tt][Tt][Pp][Ss]://([A-Za-z0-9_-]+\.)+[A-Za-z]([A-Za-z0-9-]*[A-Za-z])?\.?(:(443|8443))?"
PUBLIC_URL += r"([/?#][!#-;=?-Z\[\]_a-z~]*)?"
DENIED_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa", "onion")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def for_callers() -> list[str]:
    """Return the private hosts, and networks, that URLs of callers may lead to."""
    return list(settings.FETCH_ALLOW_HOSTS)


def for_videos() -> list[str]:
    """Return the private hosts, and networks, that the upstream's URLs of videos may lead to."""
    own = [authority(getattr(settings, name, "")) for name in OWN_URLS]
    return [*settings.FETCH_ALLOW_HOSTS, *settings.VIDEO_ALLOW_HOSTS, *filter(None, own)]


def authority(url: str) -> str:
    """Return the URL's host with its port, as the settings name it; nothing if the URL has no host."""
    try:
        parts = httpx.URL(url)
        host = parts.host
    except (httpx.InvalidURL, ValueError):
        return ""
    return f"{_bracketed(host)}:{_port(parts)}".lower() if host else ""


def is_open_to_callers(url: str) -> bool:
    """Return whether FETCH_ALLOW_HOSTS lets URLs of callers lead to the host and port of this URL of the settings."""
    host, _, port = authority(url).rpartition(":")
    host, admitted = host.strip("[]"), for_callers()
    literal = _as_address(host)
    in_network = literal is not None and _is_in_network(literal, admitted)
    return bool(host) and (in_network or _is_admitted(host, int(port), admitted))


def check_url(url: str, admitted: Collection[str] | None = None) -> httpx.URL:
    """Return the parsed URL. Raise FetchRefused, with the reason, if its text shows that it may not be fetched.

    `admitted` are private hosts and networks, those `for_callers` unless given.
    """
    admitted = for_callers() if admitted is None else admitted
    if len(url) > MAX_URL_CHARS or not (url.isascii() and url.isprintable()) or DENIED_CHARS & set(url):
        raise FetchRefused("it is too long or holds characters that a URL may not have")
    try:
        parts = httpx.URL(url)
        host = parts.host  # decodes a name of the xn-- form, which may be invalid
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchRefused("it is not a URL") from error
    if parts.scheme not in ("http", "https") or not host:
        raise FetchRefused("it is not an http or https URL")
    if parts.userinfo or " " in url:
        raise FetchRefused("it holds a user name or a space")
    if not _is_admitted(host, _port(parts), admitted):
        _check_public(parts, url, admitted)
    return parts


def resolve(resolver: Resolver, admitted: Collection[str], host: str, port: int, timeout: float) -> list[str]:
    """Return the addresses that the resolver finds, after a check of each one. Raise FetchRefused or FetchFailed."""
    found = resolver.look_up(host, port, timeout)
    if not _is_admitted(host, port, admitted):
        for address in map(ipaddress.ip_address, found):
            if not is_public(address) and not _is_in_network(address, admitted):
                raise FetchRefused("its host has an address that is not public")
    return found


def is_public(address: Address) -> bool:
    """Return True only for an address of the public Internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in DENIED_V4)
    return address in GLOBAL_V6 and not any(address in network for network in DENIED_V6)


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _bracketed(host: str) -> str:
    """Return the host as it stands in a URL: an IPv6 address has brackets there."""
    return f"[{host}]" if ":" in host else host


def _is_admitted(host: str, port: int, admitted: Collection[str]) -> bool:
    """Return whether `admitted` names the host, or the host with its port."""
    name = _bracketed(host)
    return not {host.lower(), name.lower(), f"{name}:{port}".lower()}.isdisjoint(admitted)


def _is_in_network(address: Address, admitted: Collection[str]) -> bool:
    """Return whether the address lies in a network that `admitted` names."""
    networks = [ipaddress.ip_network(entry, strict=False) for entry in admitted if "/" in entry]
    return any(address in network for network in networks if network.version == address.version)


def _check_public(url: httpx.URL, written: str, admitted: Collection[str]) -> None:
    """Raise FetchRefused unless the URL is https, on a public port, and names a public host."""
    host = url.host.rstrip(".").lower()
    literal = _as_address(host)
    if literal is not None and _is_in_network(literal, admitted):
        return
    if url.scheme != "https" or _port(url) not in PORTS:
        raise FetchRefused("only https on port 443 or 8443 is read")
    if literal is not None or host.replace(".", "").isdecimal() or host.endswith(tuple("0123456789")):
        raise FetchRefused("it names an address instead of a host")
    if "." not in host or host.endswith(tuple(f".{name}" for name in DENIED_NAMES)):
        raise FetchRefused("its host is not a public name")
    if not re.fullmatch(PUBLIC_URL, written):
        raise FetchRefused("it is not written as the URL of a public host")


def _as_address(host: str) -> Address | None:
    """Return the address if the host is written as one; None if the host is a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
