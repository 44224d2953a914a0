"""Runs PgBouncer in transaction mode before the PostgreSQL of the tests, and lets its clients swap servers."""

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from deploy import stack
from tests.support.programs import find_program

CONFIG = """
[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
ignore_startup_parameters = extra_float_digits
logfile = {folder}/log
"""


@contextmanager
def running(server: str, folder: Path) -> Iterator[str]:
    """Run PgBouncer for the database at the URL `server`, with two connections to it. Yield the URL of the same one.

    Skip the test if PgBouncer is not installed.
    """
    program = find_program("pgbouncer", package="pgbouncer")
    parts, own_port = urlsplit(server), stack.free_port(26_000 + os.getpid() % 900)
    facts = {"host": parts.hostname, "port": parts.port or 5432, "user": parts.username}
    password = f" password={parts.password}" if parts.password else ""
    text = CONFIG.format(**facts, password=password, own_port=own_port, folder=folder)
    (folder / "pgbouncer.ini").write_text(text)
    command = [program, str(folder / "pgbouncer.ini")]
    if os.getuid() == 0:  # it does not run as root
        folder.chmod(0o777)
        for parent in folder.parents[:3]:
            parent.chmod(parent.stat().st_mode | 0o055)
        command[1:1] = ["-u", "postgres"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = parts._replace(netloc=f"{parts.username}@127.0.0.1:{own_port}").geturl()
    try:
        _wait_until_answers(url, process)
        yield url
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def busy_clients(url: str) -> Iterator[None]:
    """Let two other clients take turns with the connections to the server, until the block ends."""
    ended = threading.Event()

    def work() -> None:
        with psycopg.connect(url, prepare_threshold=None) as client:
            while not ended.is_set():
                client.execute("SELECT pg_sleep(0.001)")
                client.commit()

    with ExitStack() as threads:
        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            threads.callback(thread.join, 10)
        threads.callback(ended.set)
        yield


def _wait_until_answers(url: str, process: "subprocess.Popen[Any]") -> None:
    """Wait until a query is answered."""
    for _ in range(200):
        assert process.poll() is None, "PgBouncer has ended."
        with suppress(psycopg.OperationalError):
            psycopg.connect(url, connect_timeout=3).close()
            return
        threading.Event().wait(0.05)
    raise AssertionError("PgBouncer does not answer.")
