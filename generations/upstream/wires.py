"""The wires that the service speaks: one for each package of this room, found by its module `wire`."""

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from generations import foreign_text, upstream
from generations.outbound import addresses
from generations.upstream.protocol import Wire


@cache
def load() -> Mapping[str, Wire]:
    """Return every wire by its name. The keys and addresses of its accounts are known as ours from then on."""
    packages = [info.name for info in pkgutil.iter_modules(upstream.__path__) if info.ispkg]
    found: list[Wire] = [import_module(f"{upstream.__name__}.{name}.wire").WIRE for name in packages]
    for account in [account for wire in found for account in wire.accounts()]:
        _add(account.key_setting, foreign_text.SECRET_SETTINGS)
        _add(account.url_setting, foreign_text.URL_SETTINGS)
        _add(account.url_setting, addresses.OWN_URLS)
    return {wire.name: wire for wire in found}


def _add(name: str, names: list[str]) -> None:
    """Add the name of a setting, if there is one, to those that are known: its value is secret, or our own."""
    if name and name not in names:
        names.append(name)


def get(name: str) -> Wire:
    """Return the wire of that name. Raise KeyError if no package has it."""
    return load()[name]
