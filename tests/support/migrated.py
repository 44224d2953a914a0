"""A pytest plugin: databases with all migrations applied, which tests copy.

The migrations take ten seconds of a processor: too long for each process of the tests, and for each service that a
test starts. A file of SQLite is made once for one state of the code, and later runs of the tests take it from pytest's
cache; a run makes its database of PostgreSQL itself. A test of an empty database takes `own_database`, or a folder
without a database.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support.databases import postgres_url
from tests.support.programs import skip_or_fail

ROOT = Path(__file__).parents[2]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Drop the PostgreSQL database that the processes of this run copied."""
    folder = _folder_of_run(session.config)
    if not hasattr(session.config, "workerinput") and (folder / "migrated.url").exists():
        url = urlsplit((folder / "migrated.url").read_text())
        with psycopg.connect(str(postgres_url()), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {url.path[1:]} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def migrated_sqlite(request: pytest.FixtureRequest) -> Path:
    """Return the SQLite file with all migrations applied, which tests copy."""
    assert request.config.cache
    folder = request.config.cache.mkdir("migrated")
    file = folder / f"{_digest_of_the_code()}.sqlite3"
    with _made_once(file) as is_made:
        if not is_made:
            for of_other_code in [path for path in folder.iterdir() if path.stem != file.stem]:
                of_other_code.unlink()
            unfinished = file.with_suffix(".unfinished")
            unfinished.unlink(missing_ok=True)  # of a run that was killed
            _migrate(f"sqlite:///{unfinished}")
            unfinished.rename(file)
    return file


@pytest.fixture(scope="session")
def migrated_postgresql(request: pytest.FixtureRequest) -> str:
    """Return the name of the PostgreSQL database with all migrations applied, which tests copy."""
    file, server = _folder_of_run(request.config) / "migrated.url", _server()
    with _made_once(file) as is_made:
        if not is_made:
            url = urlsplit(server)._replace(path=f"/seedance_migrated_{os.getpid()}").geturl()
            with psycopg.connect(server, autocommit=True) as admin:
                _create(admin, url)
            _migrate(url)
            file.write_text(url)
    return urlsplit(file.read_text()).path[1:]


@pytest.fixture
def own_database() -> Iterator[str]:
    """Yield the URL of an empty PostgreSQL database of the test's own, for the processes that the test starts."""
    with _own_database("template1") as url:
        yield url


@pytest.fixture
def own_migrated_database(migrated_postgresql: str) -> Iterator[str]:
    """Yield the URL of a PostgreSQL database of the test's own, in which all migrations are applied."""
    with _own_database(migrated_postgresql) as url:
        yield url


@pytest.fixture
def migrated_var(tmp_path: Path, migrated_sqlite: Path) -> Path:
    """Return a folder for the state of `make run` that holds a migrated database and nothing else."""
    shutil.copy(migrated_sqlite, tmp_path / "db.sqlite3")
    return tmp_path


def _folder_of_run(config: pytest.Config) -> Path:
    """Return the temporary folder that all processes of this run of the tests share."""
    own: Path = config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
    return own.parent if hasattr(config, "workerinput") else own


@contextmanager
def _made_once(file: Path) -> Iterator[bool]:
    """Let one process after the other pass. Yield whether a process before has made the file."""
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield file.exists()


def _digest_of_the_code() -> str:
    """Return a digest of all that decides what the migrations make: the product's code, and its libraries' versions."""
    code = [path for app in ("generations", "tenants", "seedance_service") for path in (ROOT / app).rglob("*.py")]
    texts = [path.read_bytes() for path in [ROOT / "requirements" / "run.txt", *sorted(code)]]
    return hashlib.sha256(b"\0".join(texts)).hexdigest()[:32]


def _migrate(url: str) -> None:
    """Apply all migrations to the database."""
    env = {**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
    command = [sys.executable, "manage.py", "migrate", "--no-input", "--verbosity=0"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def _server() -> str:
    """Return the URL of the PostgreSQL server. Skip the test if there is none."""
    server = postgres_url()
    if server is None:
        skip_or_fail("PostgreSQL does not answer")
    return server


@contextmanager
def _own_database(template: str) -> Iterator[str]:
    """Create a copy of the template, yield its URL, and drop it."""
    server = _server()
    url = urlsplit(server)._replace(path=f"/seedance_test_{os.getpid()}").geturl()
    with psycopg.connect(server, autocommit=True) as admin:
        _create(admin, url, template)
        yield url
        admin.execute(f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)".encode())


def _create(admin: "psycopg.Connection[Any]", url: str, template: str = "template1") -> None:
    """Create the database of the URL, in place of one that a run that was killed left."""
    name = urlsplit(url).path[1:]
    admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())
    admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
