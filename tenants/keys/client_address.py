"""The caller's address, as the limits of wrong keys and wrong passwords count it.

One customer of an IPv6 provider has at least a /64, so all of a /64 count as one address. An IPv4 address counts as
itself, also where it is written as an IPv6 address.
"""

from ipaddress import IPv6Address, ip_address
from typing import Any

from django.conf import settings

UNKNOWN = "0.0.0.0"  # of a request through a Unix socket; django-axes stores only what is an address  # noqa: S104
PREFIX_BITS = 64


def client_address(request: Any) -> str:
    """Return the address that the outermost of our PROXY_HOPS proxies saw, or the socket's; an IPv6 one as its /64.

    What a caller writes into PROXY_HEADER stands further left. `request` is Django's or REST framework's. django-axes
    calls this function for logins to the panel.
    """
    hops = settings.PROXY_HOPS
    forwarded = str(request.META.get(settings.PROXY_META, "")).split(",") if hops else []
    seen = forwarded[-hops] if hops and len(forwarded) >= hops else ""
    return _normalise(seen) or _normalise(str(request.META.get("REMOTE_ADDR", ""))) or UNKNOWN


def _normalise(text: str) -> str:
    """Return the address that counts, without a port. Return an empty string for a text that is no address."""
    host = text.strip()
    if host.startswith("["):  # "[2001:db8::1]:443"
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:  # "192.0.2.1:443", as some load balancers write it
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        network_bits = 128 - PREFIX_BITS
        return str(inner or IPv6Address(int(address) >> network_bits << network_bits))
    return str(address)
