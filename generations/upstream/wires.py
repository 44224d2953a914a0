"""The wires that the service speaks: one for each package of this room, found by its module `wire`."""

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from generations import upstream
from generations.upstream.protocol import Wire


@cache
def load() -> Mapping[str, Wire]:
    """Return every wire by its name."""
    packages = [info.name for info in pkgutil.iter_modules(upstream.__path__) if info.ispkg]
    found: list[Wire] = [import_module(f"{upstream.__name__}.{name}.wire").WIRE for name in packages]
    return {wire.name: wire for wire in found}


def get(name: str) -> Wire:
    """Return the wire of that name. Raise KeyError if no package has it."""
    return load()[name]
