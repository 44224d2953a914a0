"""Processes that count refusals of one key at one moment, as web processes do.

This module imports nothing of Django at the top: each process sets up Django for the database of the test.
"""

import multiprocessing
import os
from typing import Any

TIMEOUT_SECONDS = 60.0


def count_in_processes(database_url: str, key_id: int, processes: int, each: int, method: str) -> list[int | None]:
    """Let each process count that many refusals of both limits, and end. Return the exit codes.

    `method` says how the processes start: "fork", as the web server's do on Linux, or "spawn".
    """
    context: Any = multiprocessing.get_context(method)
    barrier = context.Barrier(processes)
    started = [context.Process(target=_count, args=(barrier, database_url, key_id, each)) for _ in range(processes)]
    for process in started:
        process.start()
    for process in started:
        process.join(TIMEOUT_SECONDS)
    return [process.exitcode for process in started]


def _count(barrier: Any, database_url: str, key_id: int, each: int) -> None:
    os.environ["DATABASE_URL"] = database_url
    import django

    django.setup()
    from django.db import connection

    from tenants.limits import refusals
    from tenants.models import ApiKey

    connection.connect()  # a forked process may not use its parent's
    key = ApiKey.objects.get(pk=key_id)
    barrier.wait(TIMEOUT_SECONDS)
    for _ in range(each):
        refusals.count(key, "per_day")
        refusals.count(key, "in_flight")
