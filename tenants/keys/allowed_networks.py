"""The check of a caller's address against the lists of the key and its tenant.

Both lists apply; an empty list allows all addresses.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from tenants.errors import AddressNotAllowed
from tenants.keys.client_address import Address, read_address
from tenants.models import ApiKey

MAX_PARSED_LISTS = 1000  # in this process


def check_caller(key: ApiKey, request: Any) -> None:
    """Raise AddressNotAllowed if the lists of the key or its tenant do not have the address of the request's caller.

    `request` is Django's or REST framework's. A caller without an address, by a Unix socket, is on no list.
    """
    lists = [allowed for allowed in (key.tenant.allowed_networks, key.allowed_networks) if allowed]
    if lists:
        address = read_address(request)
        if address is None or not all(_contains(allowed, address) for allowed in lists):
            raise AddressNotAllowed(address=address or "unknown")


def _contains(allowed: Sequence[str], address: Address) -> bool:
    """Return whether one of the networks has the address."""
    return any(address in network for network in _networks(tuple(allowed)))


@lru_cache(MAX_PARSED_LISTS)
def _networks(texts: tuple[str, ...]) -> list[IPv4Network | IPv6Network]:
    """Return the networks of a stored list, parsed once: a list may have a hundred networks, for each request."""
    return [ip_network(text) for text in texts]
