"""Remembers that the database refused a write of this process, so that probes send requests elsewhere for a moment."""

import time

from tenants.db.engine import engine

MEMORY_SECONDS = 15.0  # after which requests come again, and try again
_refused_at = float("-inf")


def remember(error: Exception) -> None:
    """Remember that this database error was raised now, if it says that no write is taken."""
    global _refused_at
    if engine.is_refused_write(error):
        _refused_at = time.monotonic()


def is_recent() -> bool:
    """Return whether a write was refused within MEMORY_SECONDS."""
    return time.monotonic() - _refused_at < MEMORY_SECONDS
