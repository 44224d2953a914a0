"""The cast: Alice and Bob are tenants; Mallory has Alice's id and Bob's key."""

import functools
import hashlib
import os
import secrets
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import moto
import psycopg
import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from django_q.models import OrmQ
from moto.s3.models import s3_backends

from deploy import stack
from generations import wakeups
from generations.catalog import eta, video_models
from generations.intake import record
from generations.models import Generation, InputImage
from generations.upstream.novita import client as novita
from generations.worker import claims
from tenants import actions
from tenants.keys.key_cache import cached_keys
from tenants.keys.throttle import throttle
from tenants.models import ApiKey, Tenant
from tests import http_client
from tests.http_client import Client
from tests.support.databases import postgres_url
from tests.support.images import base64_of, picture
from tests.support.programs import stop_for_want_of
from tests.support.upstream import Upstream


def pytest_configure() -> None:
    """A slow hash is for real passwords: it would take a third of a second of each test of the panel."""
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database-only", action="store_true", help="only tests that ask the database something")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The story's tests that share one running stack share a process; they begin, since they take longest."""
    items.sort(key=lambda item: item.get_closest_marker("story") is None)
    if config.getoption("--database-only"):
        others = [item for item in items if not _asks_the_database(item)]
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


def _asks_the_database(item: pytest.Item) -> bool:
    names = getattr(item, "fixturenames", ())
    return item.get_closest_marker("django_db") is not None or "db" in names or "transactional_db" in names


@pytest.fixture
def own_database() -> Iterator[str]:
    """The URL of an empty PostgreSQL database of the test's own, for the processes that it starts."""
    server, name = postgres_url(), f"seedance_test_{os.getpid()}"
    if server is None:
        stop_for_want_of("PostgreSQL does not answer")
    with psycopg.connect(server, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name}")
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A file: several threads and processes share it as they do in production, which an in-memory one does not."""
    from django.conf import settings

    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        settings.DATABASES["default"]["TEST"]["NAME"] = str(tmp_path_factory.mktemp("db") / "test.sqlite3")
        # No test cuts the power: tests/service/test_env.py shows that a service's database would survive it.
        settings.DATABASES["default"]["OPTIONS"]["init_command"] = "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown() -> None:
    """No thread outlives its test's database."""
    await_ring()


def await_ring() -> None:
    """Wait until the ring that was put off for a moment, if any, has gone out."""
    for thread in threading.enumerate():
        if thread.name == "ring":
            thread.join()


def count_rings() -> int:
    """Return how many rings went out, with the one that was put off."""
    await_ring()
    return OrmQ.objects.count()


def clear_rings() -> None:
    """Delete the rings that went out, with the one that was put off."""
    await_ring()
    OrmQ.objects.all().delete()


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """Of another test's callers and generations, and of when it rang."""
    wakeups._later = wakeups.Later()
    throttle.clear()
    cached_keys.clear()
    eta._cached.clear()
    eta._fresh.clear()


ACTOR = actions.Actor(name="tests")


class Caller:
    """A tenant with a key, and an HTTP client that uses it."""

    def __init__(self, tenant: str | Tenant, **facts: Any) -> None:
        self.tenant = actions.create_tenant(ACTOR, tenant) if isinstance(tenant, str) else tenant
        new = actions.mint_key(ACTOR, self.tenant, **facts)
        self.key_text = new.text
        self.key = ApiKey.objects.get(prefix=new.prefix)
        self.http = http_client.with_key(new.text)

    def limit(self, **limits: int | None) -> None:
        self.tenant = actions.change_tenant(ACTOR, self.tenant, **limits)

    def limit_key(self, **limits: int | None) -> None:
        self.key = actions.change_key(ACTOR, self.key, **limits)

    def with_key(self, **facts: Any) -> "Caller":
        """The same tenant by another key."""
        return Caller(self.tenant, **facts)


@pytest.fixture
def client() -> Client:
    """In place of Django's own, which knows nothing of the application that serves the requests."""
    return Client()


@pytest.fixture
def admin_client(admin_user: User) -> Client:
    http = Client()
    http.force_login(admin_user)
    return http


@pytest.fixture
def alice(db: None) -> Caller:
    return Caller("alice")


@pytest.fixture
def bob(db: None) -> Caller:
    return Caller("bob")


@pytest.fixture(scope="session")
def _aws() -> Iterator[None]:
    """Begun once: it costs more than most tests. What has an endpoint of its own is not touched."""
    with moto.mock_aws():
        yield


@pytest.fixture
def bucket(_aws: None) -> Iterator[Any]:
    """An S3 in this process: it knows keys and bytes, but accepts any signature."""
    s3_backends.reset()
    _s3().create_bucket(Bucket="seedance-tests")
    yield _s3()
    s3_backends.reset()


@functools.cache
def _s3() -> Any:
    """Made once: a new client costs a tenth of a second."""
    return boto3.client("s3", region_name="us-east-1")


@pytest.fixture
def upstream(settings: Any) -> Iterator[Upstream]:
    server = Upstream()
    settings.NOVITA_BASE_URL = server.url
    settings.FETCH_ALLOW_HOSTS = [server.host]
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def _no_kept_connections() -> Iterator[None]:
    """The upstream of one test is not that of the next."""
    yield
    for connections in novita.idle_connections.idle.values():
        while connections:
            connections.pop().http.close()


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A real S3 that checks signatures, as settings for it."""
    folder: Path = tmp_path_factory.mktemp("s3")
    ports = stack.seaweedfs_ports(22000 + secrets.randbelow(10000))
    process = stack.seaweedfs(folder, folder, ports, "local-access", "local-secret")
    endpoint = f"http://127.0.0.1:{ports[0]}"
    try:
        stack.wait_until_answers(process, endpoint)
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
    from generations.bucket.client import ensure_bucket

    for name, value in seaweed.items():
        setattr(settings, name, value)
    ensure_bucket()


@pytest.fixture
def body() -> dict[str, Any]:
    """The smallest create that is right."""
    return {"image": base64_of(picture()), "resolution": "480p"}


def make_image(tenant: Tenant, content: bytes = b"abc") -> InputImage:
    """Its row; who needs it in the bucket puts it there."""
    sha256 = hashlib.sha256(content).hexdigest()
    shape = {"format": "jpeg", "width": 640, "height": 360, "size": 3}
    kept, _ = InputImage.objects.get_or_create(
        tenant=tenant, sha256=sha256, defaults={"key": f"inputs/{tenant.pk}/{sha256}", **shape}
    )
    return kept


def make_generation(caller: Caller, **facts: Any) -> Generation:
    """A queued generation with its hold, as a create makes it, without S3 and without a ring."""
    model = video_models.SEEDANCE_V1_LITE_I2V
    generation = Generation(
        **{
            "tenant": caller.tenant,
            "api_key": caller.key,
            "test": caller.key.test,
            "created_at": timezone.now(),
            "model": model.name,
            "resolution": "480p",
            "aspect_ratio": "16:9",
            "duration": 5,
            "seed": 7,
            "seed_source": "caller",
            "image": make_image(caller.tenant),
            "price_micro": model.price_micro("480p", "16:9", 5),
            **facts,
        }
    )
    generation.api_key = ApiKey.objects.select_related("tenant").get(pk=caller.key.pk)
    record.admit_and_record(generation)
    return generation


def claim_due(limit: int) -> list[Generation]:
    """Claim up to `limit` due rows of every lane, as a worker run does."""
    claimed = claims.others(limit)
    claimed += claims.submits(limit - len(claimed))
    return claimed + claims.polls(limit - len(claimed))
