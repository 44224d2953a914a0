"""The fixtures of all tests. Alice and Bob are tenants; Mallory has Alice's id and Bob's key."""

import functools
import itertools
import os
import secrets
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import moto
import pytest
from botocore.utils import ContainerMetadataFetcher
from django.contrib.auth.models import User
from moto.s3.models import s3_backends

from deploy import stack, waiting
from generations import aws, wakeups
from generations.catalog import eta, states, video_models
from generations.catalog.video_models import VideoModel
from generations.upstream import exchanges, poll_pauses
from tenants.db import clock
from tenants.db.engine import engine
from tenants.keys.key_cache import cached_keys
from tenants.keys.throttle import throttle
from tenants.limits import counters, refusals
from tests.http_client import Client
from tests.support.aws_agent import Agent, Answer
from tests.support.clock import remember as real_remember
from tests.support.factories import Caller
from tests.support.images import base64_of, image_bytes
from tests.support.stores import Store
from tests.support.upstream import Upstream
from tests.support.worker import await_wakeup

CATALOG_DIR = Path(__file__).parent / "support" / "catalog"


def pytest_configure() -> None:
    """Hash passwords fast, and take any: the slow hash would take a third of a second of each test of the panel."""
    from django.conf import settings

    assert real_remember is clock.remember  # tests of the clock itself use it
    clock.remember = lambda *_: None  # tests that travel in time take the database's clock with them
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    settings.AUTH_PASSWORD_VALIDATORS = []  # pytest-django's superuser has the password "password"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option `--database-only`."""
    parser.addoption("--database-only", action="store_true", help="only tests that ask the database something")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the story begin, since it takes longest, in one process for the tests that share one running stack."""
    items.sort(key=lambda item: item.get_closest_marker("story") is None)
    if config.getoption("--database-only"):
        others = [item for item in items if not _uses_database(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in set(others)]
    for item in items:
        if "stack_running" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.xdist_group("story"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name each reason for which tests were skipped once, with their number, above the last line."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in skipped)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"SKIPPED [{count}] {reason}")


def _uses_database(item: pytest.Item) -> bool:
    """Return whether the test, or a fixture of the test, uses the database."""
    names = getattr(item, "fixturenames", ())
    return item.get_closest_marker("django_db") is not None or "db" in names or "transactional_db" in names


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Let Django go on with the copy of an SQLite file that is there, in place of an empty file."""
    from django.conf import settings

    return bool(settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"))


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    """Begin with a migrated database. SQLite is a file, which threads and processes share as in production."""
    from django.conf import settings

    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        own = tmp_path_factory.mktemp("db") / "test.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), own)
        database["TEST"]["NAME"] = str(own)
        # No test cuts the power: tests/service/test_env.py shows that a service's database would survive it.
        database["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"
    else:
        database["TEST"]["TEMPLATE"] = request.getfixturevalue("migrated_postgresql")


LAST_SECONDS = 1.0  # of a minute: almost every test takes less


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin no test in the last second of a minute: it would count in two minutes, days or months."""
    left = 60 - time.time() % 60
    if left < LAST_SECONDS and _uses_database(item):
        time.sleep(left)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """Wait for the threads of a delayed wake-up and of refusals: no thread may outlive its test's database."""
    await_wakeup()
    refusals.finish()
    refusals._counter.reset()


@pytest.fixture(autouse=True)
def _clocks_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the database's clock be this host's, also in tests that travel in time."""
    monkeypatch.setattr(engine, "clock_difference", lambda: timedelta(0))


@pytest.fixture(autouse=True)
def _clear_caches() -> None:
    """Forget the callers, generations, windows and wake-ups of earlier tests, whose rows were rolled back."""
    wakeups._coalescer = wakeups.Coalescer()
    throttle.clear()
    cached_keys.clear()
    eta._cached.clear()
    states.forget()
    eta._fresh.clear()
    counters.forget_open_windows()
    poll_pauses.forget()


@pytest.fixture
def client() -> Client:
    """Return a client of the WSGI application, in place of Django's own, which bypasses the application."""
    return Client()


@pytest.fixture
def admin_client(admin_user: User) -> Client:
    """Return a client that is logged in to the panel as a superuser."""
    http = Client()
    http.force_login(admin_user)
    return http


@pytest.fixture
def alice(db: None) -> Caller:
    """Return a tenant with a live key."""
    return Caller("alice")


@pytest.fixture
def bob(db: None) -> Caller:
    """Return another tenant with a live key."""
    return Caller("bob")


@pytest.fixture(scope="session")
def _aws() -> Iterator[None]:
    """Mock AWS once for all tests: starting moto takes longer than most tests. Other endpoints stay as they are."""
    with moto.mock_aws():
        yield


@pytest.fixture
def bucket(_aws: None) -> Iterator[Any]:
    """Yield a client of an S3 in this process, which stores objects, but accepts any signature."""
    s3_backends.reset()
    _s3().create_bucket(Bucket="seedance-tests")
    yield _s3()
    s3_backends.reset()


@functools.cache
def _s3() -> Any:
    """Return the one client of all tests: a new client takes a tenth of a second."""
    return boto3.client("s3", region_name="us-east-1")


@pytest.fixture
def store(settings: Any) -> Iterator[Store]:
    """Yield a store that can refuse to delete objects, to which the settings point."""
    one = Store(bucket_in_host=False, host="127.0.0.1")
    settings.S3_ENDPOINT_URL = settings.S3_PUBLIC_URL = one.url
    yield one
    one.stop()


@pytest.fixture
def upstream(settings: Any) -> Iterator[Upstream]:
    """Yield a running fake of the upstream, to which the settings point."""
    server = Upstream()
    settings.NOVITA_BASE_URL = server.url
    settings.FETCH_ALLOW_HOSTS = [server.host]
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _close_pooled_connections() -> Iterator[None]:
    """Close idle connections to the upstream after each test: the next test has another upstream."""
    yield
    for connections in exchanges.idle_connections.idle.values():
        while connections:
            connections.pop().http.close()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Yield the settings of a real S3, which checks signatures."""
    folder: Path = tmp_path_factory.mktemp("s3")
    ports = stack.seaweedfs_ports(22000 + secrets.randbelow(10000))
    process = stack.seaweedfs(folder, folder, ports, "local-access", "local-secret")
    endpoint = f"http://127.0.0.1:{ports[0]}"
    try:
        waiting.until_answers(process, endpoint)
        yield {
            "S3_ENDPOINT_URL": endpoint,
            "S3_PUBLIC_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "local-access",
            "AWS_SECRET_ACCESS_KEY": "local-secret",
        }
    finally:
        stack.stop([process])


@pytest.fixture
def real_bucket(seaweed: dict[str, str], settings: Any) -> None:
    """Use a bucket of the real S3 in this test."""
    from generations.bucket.client import ensure_bucket

    for name, value in seaweed.items():
        setattr(settings, name, value)
    ensure_bucket()


@pytest.fixture
def no_credentials(settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Begin without any credentials of AWS, and with no session of another test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setattr(ContainerMetadataFetcher, "SLEEP_TIME", 0)
    for prefix, name in itertools.product(("AWS", "S3"), ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")):
        setattr(settings, f"{prefix}_{name}", "")
    aws._sessions.clear()
    yield
    aws._sessions.clear()


@pytest.fixture
def agent(no_credentials: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Agent]]:
    """Yield a function that starts the agent of a container's role, which alone has credentials."""
    started = list[Agent]()

    def start(*answers: Answer) -> Agent:
        started.append(Agent(*answers))
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", started[-1].url)
        return started[-1]

    yield start
    for one in started:
        one.stop()


@pytest.fixture
def body() -> dict[str, Any]:
    """Return the smallest valid body of a create."""
    return {"image": base64_of(image_bytes()), "resolution": "480p"}


@pytest.fixture
def usage_model(settings: Any) -> VideoModel:
    """Add a made-up model to the catalogue whose price the upstream's usage decides: 2 USD per million tokens."""
    settings.CATALOG_DIR = str(CATALOG_DIR)
    model = video_models.get("acme-tokens-1-t2v")
    assert model is not None
    return model
