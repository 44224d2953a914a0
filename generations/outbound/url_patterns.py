"""The regular expression of the URLs that callers may name: what `addresses.check_url` takes, for schemas.

It means the same to Python and to ECMA 262. Of IPv6 addresses, and of names in the xn-- form, it takes more.
"""

import ipaddress
import re
from collections.abc import Collection, Iterator

from generations.outbound.addresses import DENIED_NAMES, PUBLIC_URL

HTTP, HTTPS = "[Hh][Tt][Tt][Pp]", "[Hh][Tt][Tt][Pp][Ss]"
TAIL = r"([/?#][!#-;=?-Z\[\]_a-z~]*)?"
OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
ANY_PORT = "(:[0-9]{0,5})?"


def of_callers(admitted: Collection[str]) -> str:
    """Return the pattern of an empty text, a public URL, or a URL of an admitted private place, without its anchors.

    `admitted` has entries of FETCH_ALLOW_HOSTS: `host`, `host:port` or `network/bits`.
    """
    denied = "|".join(_any_case(name) for name in DENIED_NAMES)
    public = f"(?![A-Za-z]*://[^/?#:]*\\.({denied})\\.?([:/?#]|$)){PUBLIC_URL}"
    return f"({'|'.join([public, *(f'{place}{TAIL}' for entry in admitted for place in _places(entry))])})?"


def _places(entry: str) -> Iterator[str]:
    """Yield the patterns of scheme, host and port for an admitted entry."""
    if "/" in entry:
        yield f"{HTTP}[Ss]?://{_network(entry)}{ANY_PORT}"
        return
    host, _, port = entry.rpartition(":") if re.search(r":[0-9]+$", entry) else (entry, "", "")
    name = _any_case(host)
    if not port:
        yield f"{HTTP}[Ss]?://{name}{ANY_PORT}"
        return
    yield f"{HTTP}[Ss]?://{name}:0*{port}"
    if scheme := {"80": HTTP, "443": HTTPS}.get(port):
        yield f"{scheme}://{name}:?"


def _network(entry: str) -> str:
    """Return the pattern of the addresses of a network, as hosts of URLs."""
    network = ipaddress.ip_network(entry, strict=False)
    if network.version == 6:
        return r"\[[0-9A-Fa-f:.]+\]"
    first, last = network.network_address.packed, network.broadcast_address.packed
    octets = []
    for low, high in zip(first, last, strict=True):
        is_any = (low, high) == (0, 255)
        octets.append(OCTET if is_any else f"({'|'.join(map(str, range(low, high + 1)))})")
    return r"\.".join(octets)


def _any_case(text: str) -> str:
    """Return the pattern of a text in any case."""
    return "".join(f"[{char.upper()}{char}]" if char.isalpha() else re.escape(char) for char in text.lower())
