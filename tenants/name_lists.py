"""Lists of names, as people write and read them."""

import re
from collections.abc import Sequence

SEPARATORS = re.compile(r"[,\s]+")


def split(text: str) -> list[str]:
    """Return the names of a text that separates them by commas, spaces or line ends. Each name is returned once."""
    return list(dict.fromkeys(name for name in SEPARATORS.split(text) if name))


def describe(names: Sequence[str], most: int) -> str:
    """Return the first `most` names, separated by commas, and the number of the others."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
