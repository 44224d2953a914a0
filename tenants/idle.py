"""A transaction of PostgreSQL that nothing is asked in for long ends: its other end is gone, and it holds locks.

A host that is cut off from the database says no goodbye. The server would keep its locks until TCP gives up, two hours
as most systems have it, and whoever claims rows would pass over them all that time.
"""

from datetime import timedelta
from typing import Any

MOST = timedelta(seconds=15)  # a transaction here takes milliseconds, and nothing is waited for in it


def bound(connection: Any, **_: Any) -> None:
    """Of a new connection. Not by a parameter of its start: there are poolers that refuse those."""
    if connection.vendor == "postgresql":
        connection.connection.execute(f"SET idle_in_transaction_session_timeout = {MOST // timedelta(milliseconds=1)}")
