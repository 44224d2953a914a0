"""The database of the lab and its faults: a SQLite file is locked, a PostgreSQL server loses connections or crashes."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections import Counter
from pathlib import Path
from random import Random

import psycopg

from deploy import stack


class Sqlite:
    """A SQLite file whose write lock is sometimes held."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lab.sqlite3"
        self.url = f"sqlite:///{self._path}"
        self.faults: Counter[str] = Counter()

    def hurt(self, dice: Random) -> None:
        """Hold the one write lock for a while."""
        self.faults["write lock held"] += 1
        with sqlite3.connect(self._path, timeout=10, isolation_level=None) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(dice.uniform(0.2, 2.5))
            connection.execute("ROLLBACK")
        connection.close()

    def stop(self) -> None:
        """Do nothing: a file needs no stop."""


class Postgres:
    """A server of the lab alone, since it is killed."""

    name = "PostgreSQL"

    def __init__(self, folder: Path) -> None:
        folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
        self._bin = str(folders[-1]) if folders else os.path.dirname(shutil.which("initdb") or "")
        self._data = folder / "pg"
        self._data.mkdir()
        # PostgreSQL does not run as root.
        self._user = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
        if self._user:
            shutil.chown(self._data, **self._user)
            for parent in [folder, *folder.parents][:3]:
                parent.chmod(parent.stat().st_mode | 0o011)
        self.faults: Counter[str] = Counter()
        options = ["-U", "postgres", "--auth=trust", "-E", "UTF8", "--no-instructions"]
        self._run([f"{self._bin}/initdb", "-D", str(self._data), *options])
        port = stack.free_port(25_000 + os.getpid() % 5000)
        self.url = f"postgres://postgres@127.0.0.1:{port}/postgres"
        with (self._data / "postgresql.conf").open("a") as file:
            file.write(f"port = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = ''\n")
        self._start()

    def hurt(self, dice: Random) -> None:
        """Cut some connections, or sometimes crash the server and start it again."""
        if dice.random() < 0.12:
            self.faults["server crash"] += 1
            self._run([f"{self._bin}/pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop"])
            time.sleep(dice.uniform(0.2, 3))
            self._start()
            return
        self.faults["connections cut"] += 1
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' AND random() < 0.3"
            )

    def _start(self) -> None:
        """Start the server, and wait until it is ready."""
        log = str(self._data / "log")
        self._run([f"{self._bin}/pg_ctl", "-D", str(self._data), "-l", log, "-w", "start"])

    def stop(self) -> None:
        """Stop the server."""
        self._run([f"{self._bin}/pg_ctl", "-D", str(self._data), "-m", "immediate", "-w", "stop"], check=False)

    def _run(self, command: list[str], *, check: bool = True) -> None:
        """Run a command as the user of PostgreSQL."""
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        if not check:
            quiet["stderr"] = subprocess.DEVNULL
        subprocess.run(command, check=check, cwd="/", **quiet, **self._user)  # type: ignore[call-overload]
