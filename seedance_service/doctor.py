"""What a deployer asks first: is everything that the service needs there, as it has to be, and if not, what mends it.

Each examination costs no money and leaves nothing behind.
"""

import secrets
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.core import checks
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from generations import wakeups
from generations.bucket import client, self_test, signed_urls
from generations.bucket.errors import StorageError
from generations.reports import worker_hosts
from generations.upstream.errors import UpstreamError
from generations.upstream.novita import client as novita
from tenants.db.engine import engine

OK, WARNING, WRONG = "ok", "warning", "wrong"
SKEW, TOO_MUCH = 2.0, 60.0  # seconds between two clocks; leases compare those of hosts, and S3 refuses past 900
LEAST_DISK = 2 * 1024**3  # bytes: copies whose length is not known go by way of the disk
CONNECTIONS = 110  # two web processes of 32 threads, one worker with its default threads, and some for people


@dataclass(frozen=True)
class Finding:
    name: str
    level: str
    fact: str
    mend: str = ""  # how, in a sentence
    milliseconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        told = {"name": self.name, "level": self.level, "fact": self.fact, "ms": round(self.milliseconds, 1)}
        return {**told, "mend": self.mend} if self.mend else told


def examine() -> Iterator[Finding]:
    """One finding after the other, each with the time it took."""
    for part in PARTS:
        began = time.monotonic()
        for finding in part():
            yield replace(finding, milliseconds=(time.monotonic() - began) * 1000)
            began = time.monotonic()


def of_settings() -> Iterator[Finding]:
    found = checks.run_checks(include_deployment_checks=True)
    told = [message for message in found if not message.is_silenced()]
    for message in told:
        level = WRONG if message.level >= checks.ERROR else WARNING
        yield Finding("settings", level, f"{message.id}: {message.msg}", message.hint or "Set it in the environment.")
    if not told:
        yield Finding("settings", OK, "nothing is missing")


def of_database() -> Iterator[Finding]:
    try:
        yield _migrations()
        yield _server()
    except Error as error:
        mend = "Start the database, and set DATABASE_URL to where it answers."
        yield Finding("database", WRONG, f"it does not answer: {type(error).__name__}", mend)


def _migrations() -> Finding:
    executor = MigrationExecutor(connection)
    left = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if left:
        return Finding("database", WRONG, f"{len(left)} migrations are not applied", "Run manage.py migrate.")
    return Finding("database", OK, "every migration is applied")


def _server() -> Finding:
    found = engine.describe()
    if found.at and (skewed := _clock("database", found.at)).level != OK:
        return skewed
    if found.one_host_only:
        mend = "Set DATABASE_URL to a PostgreSQL where web and worker are on more than one host."
        return Finding("database", OK if settings.DEBUG else WARNING, found.sentence, mend)
    if found.max_connections is not None and found.max_connections < CONNECTIONS:
        mend = f"Set max_connections to {CONNECTIONS} or more: each thread of a web or worker process keeps one."
        return Finding("database", WARNING, found.sentence, mend)
    return Finding("database", OK, found.sentence)


def of_broker() -> Iterator[Finding]:
    try:
        wakeups.check_broker()
    except Exception as error:  # each broker has a client, and errors, of its own
        fact = f"it does not answer: {type(error).__name__}"
        yield Finding("broker", WRONG, fact, "Set BROKER_URL to a broker that answers, or to orm.")
    else:
        yield Finding("broker", OK, "it answers")


def of_bucket() -> Iterator[Finding]:
    if not settings.S3_BUCKET:
        yield Finding("bucket", WRONG, "S3_BUCKET is not set", "Set it to a private bucket of your own.")
        return
    key, step = f"doctor/{secrets.token_hex(16)}", ""
    try:
        at = client.ping()
        for step in self_test.run(key):
            if step == "ListBucket":
                yield from _signed(key)
    except StorageError as trouble:
        mend = f"Give the service's role {step.split()[0]} on that bucket." if step else "Check its name and the keys."
        yield Finding("bucket", WRONG, f"{step or 'HeadBucket'}: {trouble}", mend)
        return
    yield Finding("bucket", OK, "objects can be put, read, listed and deleted, and none is overwritten")
    yield _clock("bucket", at)


def _signed(key: str) -> Iterator[Finding]:
    """By the way that callers take: over HTTP, where S3_PUBLIC_URL says."""
    url = signed_urls.sign(key, content_type="text/plain", file_name="doctor")
    status, other = _status(url), _status(url.replace("Signature=", "Signature=0"))
    if status != 200:
        mend = "Set S3_PUBLIC_URL to where callers, and this host, reach S3."
        yield Finding("signed URLs", WRONG, f"one was answered with {status}", mend)
    elif other == 200:
        mend = "Use an S3 that checks signatures, and make the bucket private."
        yield Finding("signed URLs", WRONG, "one with a wrong signature is served too", mend)
    else:
        yield Finding("signed URLs", OK, "served, and refused where the signature is wrong")


def _status(url: str) -> int | str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  # our own URL, http or https
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError as error:
        return f"no answer ({type(error).__name__})"


def of_upstream() -> Iterator[Finding]:
    try:
        at = novita.check_account(novita.account(test=False))
    except UpstreamError as trouble:
        mend = "Check NOVITA_API_KEY in the upstream's console, and its balance; the panel says when submits pause."
        if "failed" in str(trouble):
            mend = "Open the way to NOVITA_BASE_URL: a firewall, a proxy or its name may be in it."
        yield Finding("upstream", WRONG, str(trouble), mend)
        return
    yield Finding("upstream", OK, "it answers and takes the key")
    yield _clock("upstream", at)


def of_worker() -> Iterator[Finding]:
    try:
        age = worker_hosts.latest_heartbeat_age()
    except Error:
        return  # which of_database has told
    if age is None or age > worker_hosts.SILENT_AFTER:
        fact = "none has ever looked" if age is None else f"none has looked for {age.total_seconds():.0f} s"
        mend = "Start the Procfile's worker; where it runs, its log says what is wrong."
        yield Finding("worker", WARNING, fact, mend)
    else:
        yield Finding("worker", OK, f"one looked {age.total_seconds():.0f} s ago")


def of_disk() -> Iterator[Finding]:
    free = shutil.disk_usage(settings.VAR_DIR if settings.VAR_DIR.exists() else "/").free
    fact = f"{free / 1024**3:.1f} GiB free"
    if free < LEAST_DISK:
        yield Finding("disk", WARNING, fact, f"Free some: copies may need {LEAST_DISK // 1024**3} GiB on the way.")
    else:
        yield Finding("disk", OK, fact)


def _clock(whose: str, at: datetime | None) -> Finding:
    name = f"clock of the {whose}"
    if at is None:
        return Finding(name, WARNING, "it does not tell the time", "Compare it by hand.")
    # A header's date has no fractions of a second.
    skew = abs((datetime.now(UTC) - at).total_seconds())
    fact = f"{skew:.0f} s from this host's"
    if skew <= SKEW:
        return Finding(name, OK, fact)
    mend = "Set this host's clock by NTP; leases and signatures depend on it."
    return Finding(name, WRONG if skew > TOO_MUCH else WARNING, fact, mend)


PARTS = (of_settings, of_database, of_broker, of_bucket, of_upstream, of_worker, of_disk)
