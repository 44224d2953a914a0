"""The database connection of a request's thread, checked where the request begins and where it ends.

Django's receivers of these signals go through all databases, all caches and a debugger's list of queries. This service
has one database, and no cache with a connection: they took a twentieth of a read.
"""

from django.core.cache import close_caches
from django.core.signals import request_finished, request_started
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connections, reset_queries


def replace_djangos_receivers() -> None:
    """Let `check_connection` alone receive the two signals, from now on in this process."""
    for signal in (request_started, request_finished):
        for receiver in (reset_queries, close_old_connections, close_caches):
            signal.disconnect(receiver)
        signal.connect(check_connection)


def check_connection(**_: object) -> None:
    """Close this thread's connection where it is broken, or older than CONN_MAX_AGE."""
    connections[DEFAULT_DB_ALIAS].close_if_unusable_or_obsolete()
