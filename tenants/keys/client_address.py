"""The caller's address, whole as lists of networks check it, and as the limits of wrong keys and passwords count it.

One customer of an IPv6 provider has at least a /64, so all of a /64 count as one address. An IPv4 address counts as
itself, also where it is written as an IPv6 address.
"""

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from django.conf import settings

UNKNOWN = "0.0.0.0"  # of a request through a Unix socket; django-axes stores only what is an address  # noqa: S104
PREFIX_BITS = 64

Address = IPv4Address | IPv6Address


def client_address(request: Any) -> str:
    """Return the caller's address as it is counted: an IPv6 address as its /64, an unknown one as UNKNOWN.

    `request` is Django's or REST framework's. django-axes calls this function for logins to the panel.
    """
    address = read_address(request)
    return UNKNOWN if address is None else _reduce(address)


def read_address(request: Any) -> Address | None:
    """Return the whole address that the outermost of our PROXY_HOPS proxies saw, or the socket's; None if unknown.

    What a caller writes into PROXY_HEADER stands further left. An IPv4 address that is written as an IPv6 address is
    returned as the IPv4 address.
    """
    hops = settings.PROXY_HOPS
    forwarded = str(request.META.get(settings.PROXY_META, "")).split(",") if hops else []
    seen = forwarded[-hops] if hops and len(forwarded) >= hops else ""
    return _parse(seen) or _parse(str(request.META.get("REMOTE_ADDR", "")))


def _parse(text: str) -> Address | None:
    """Return the address of a text, which may have a port. Return None for a text that is no address."""
    host = text.strip()
    if host.startswith("["):  # "[2001:db8::1]:443"
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:  # "192.0.2.1:443", as some load balancers write it
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _reduce(address: Address) -> str:
    """Return the address as it is counted: an IPv6 one as its /64, or as the IPv4 address of a customer of 6to4."""
    if isinstance(address, IPv4Address):
        return str(address)
    network_bits = 128 - PREFIX_BITS
    return str(address.sixtofour or IPv6Address(int(address) >> network_bits << network_bits))
