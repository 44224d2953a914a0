"""How the service uses its database: times of connections, time limits, and how safely SQLite writes."""

from typing import Any


def complete(database: dict[str, Any], *, prepare_statements: bool) -> dict[str, Any]:
    """Return Django's settings of the database of DATABASE_URL, with those of its kind."""
    # A new PostgreSQL connection costs as much as 5 to 16 requests. A connection that a restart of the server has cut
    # fails no request where it is checked first.
    whole = {**database, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}  # seconds
    if database["ENGINE"].endswith("postgresql"):
        # A server that falls silent is detected within half a minute, long before TCP gives up.
        limits = {"connect_timeout": 5, "tcp_user_timeout": 30_000}
        limits |= {"keepalives_idle": 20, "keepalives_interval": 5, "keepalives_count": 2}
        whole["OPTIONS"] = {**database.get("OPTIONS", {}), **limits}
        # The statements of each create and poll are planned once per connection: planning takes longer than running.
        if prepare_statements:
            whole["OPTIONS"]["prepare_threshold"] = 5  # uses of a statement; the driver's own default
    if database["ENGINE"].endswith("sqlite3"):
        # IMMEDIATE: a deferred transaction that reads first fails at once under writers, busy timeout or not.
        # FULL: a create that was answered with 202 survives a power cut, not only a crash of the process.
        whole["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,  # seconds
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        }
    return whole
