"""The values that a tenant and a key may have. Each function raises NotPossible for another value."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError

from tenants import name_lists
from tenants.errors import NotPossible
from tenants.known_models import known_models
from tenants.models import Tenant, check_time_zone

MAX_NAME_CHARS = MAX_LABEL_CHARS = 100  # as the columns have it
MAX_SUBMIT_DEADLINE_SECONDS = 7 * 86400
MAX_RETENTION_DAYS = 36_500  # a century
MAX_LIST_ITEMS = 100  # of the models that a tenant or a key may use, and of the networks
MAX_NAMED_MODELS = 20  # in a message
MODEL_ID = re.compile(r"[\w.:/-]{1,100}", re.ASCII)
IPV4_MAPPED = IPv6Network("::ffff:0:0/96")


def check_name(name: str) -> None:
    """Raise NotPossible for a name that no tenant may have."""
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable() or name != name.strip():
        raise NotPossible(reason=f"A tenant's name has 1 to {MAX_NAME_CHARS} printable characters.")


def check_generation_policy(values: Mapping[str, Any]) -> None:
    """Raise NotPossible for a value that a field of the generation policy cannot have."""
    if values.get("on_doubt", Tenant.OnDoubt.HOLD) not in Tenant.OnDoubt.values:
        raise NotPossible(reason=f"on_doubt is one of {', '.join(Tenant.OnDoubt.values)}.")
    seconds = values.get("submit_deadline")
    if seconds is not None and not 0 < seconds <= MAX_SUBMIT_DEADLINE_SECONDS:
        raise NotPossible(reason=f"A submit deadline has 1 to {MAX_SUBMIT_DEADLINE_SECONDS} seconds.")
    for name in ("video_days", "input_days"):
        days = values.get(name)
        if days is not None and not 0 <= days <= MAX_RETENTION_DAYS:
            raise NotPossible(reason=f"Files are stored for 1 to {MAX_RETENTION_DAYS} days; 0 means for ever.")


@contextmanager
def unique_name(name: str) -> Iterator[None]:
    """Raise NotPossible where the schema refuses a tenant's name. A query before could miss a name just chosen."""
    try:
        yield
    except IntegrityError as error:
        if not Tenant.objects.filter(name=name).exists():
            raise
        raise NotPossible(reason=f"There is a tenant named {name!r} already.") from error


def check_label(label: str) -> None:
    """Raise NotPossible for a label that no key may have."""
    if len(label) > MAX_LABEL_CHARS or not label.isprintable():
        raise NotPossible(reason=f"A label has at most {MAX_LABEL_CHARS} printable characters.")


def checked_time_zone(name: str) -> str:
    """Return the name of a time zone. Raise NotPossible for any other text."""
    try:
        check_time_zone(name)
    except ValidationError as error:
        raise NotPossible(reason=error.message) from error
    return name


def check_models(names: Sequence[str], listed: Collection[str] = ()) -> list[str]:
    """Return the ids of models, each once. Raise NotPossible for an id that the catalogue does not have.

    A name that is `listed` already is allowed: its model may have left the catalogue since.
    """
    known = known_models.ids()
    for name in names:
        if (name not in known and name not in listed) or not MODEL_ID.fullmatch(name):
            models = name_lists.describe(known, MAX_NAMED_MODELS)
            raise NotPossible(reason=f"There is no model {name[:100]!r}. The models are: {models}.")
    return _checked_list(names, "models")


def check_networks(texts: Sequence[str]) -> list[str]:
    """Return networks as they are stored, such as "192.0.2.0/24", each once; an address is a network of its own.

    Raise NotPossible for a text that is no network, or that has bits set behind its prefix.
    """
    return _checked_list([_network(text) for text in texts], "networks")


def check_allow_lists(values: Mapping[str, Any], listed: Collection[str] = ()) -> dict[str, list[str]]:
    """Return those of the lists that are among the values, as they are stored. Raise NotPossible."""
    lists = {}
    if "allowed_models" in values:
        lists["allowed_models"] = check_models(values["allowed_models"], listed)
    if "allowed_networks" in values:
        lists["allowed_networks"] = check_networks(values["allowed_networks"])
    return lists


def _checked_list(items: Sequence[str], noun: str) -> list[str]:
    """Return the items, each once. Raise NotPossible for too many."""
    unique = list(dict.fromkeys(items))
    if len(unique) > MAX_LIST_ITEMS:
        raise NotPossible(reason=f"A list has at most {MAX_LIST_ITEMS} {noun}; this one has {len(unique)}.")
    return unique


def _network(text: str) -> str:
    """Return a network as it is stored; an IPv4 one that is written as IPv6 as IPv4. Raise NotPossible."""
    address, _, prefix = text.partition("/")
    try:
        written, network = ip_address(address), ip_network(text, strict=False)
    except ValueError as error:
        raise NotPossible(reason=f"{text[:100]!r} is no network such as 192.0.2.0/24 or 2001:db8::/32.") from error
    if "%" in text:
        raise NotPossible(reason=f"{text[:100]!r} names an interface, which a network on the list can not.")
    if prefix and written != network.network_address:
        single = str(_unmapped(ip_network(written))).partition("/")[0]
        raise NotPossible(
            reason=f"{text!r} has bits set behind its prefix. Write {_unmapped(network)} for the network, or {single} "
            "for the one address."
        )
    return str(_unmapped(network))


def _unmapped(network: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """Return the IPv4 network that an IPv6 network such as ::ffff:192.0.2.0/120 stands for, or the network itself."""
    if isinstance(network, IPv6Network) and network.subnet_of(IPV4_MAPPED):
        start = int(network.network_address) & 0xFFFFFFFF
        return IPv4Network((start, network.prefixlen - IPV4_MAPPED.prefixlen))
    return network
