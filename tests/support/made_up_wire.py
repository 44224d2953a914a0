"""Adds a package of tests to the service's wires, as an operator's release would, and takes it away again."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from generations import upstream
from generations.upstream import wires

ACME = Path(__file__).parent / "wires" / "acme"


@contextmanager
def add(package: Path) -> Iterator[None]:
    """Let the service find the package among its wires. Afterwards the wires are those of before."""
    folder, name = str(package.parent), f"{upstream.__name__}.{package.name}"
    upstream.__path__.append(folder)
    wires.load.cache_clear()
    try:
        yield
    finally:
        upstream.__path__.remove(folder)
        wires.load.cache_clear()
        for module in [module for module in sys.modules if module == name or module.startswith(f"{name}.")]:
            del sys.modules[module]
        vars(upstream).pop(package.name, None)
