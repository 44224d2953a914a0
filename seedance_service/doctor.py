"""Check everything that the service needs, and say how to fix what is wrong.

The checks cost no money and leave nothing behind.
"""

import secrets
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from django.conf import settings
from django.core import checks
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from generations import wakeups
from generations.bucket import client, self_test, signed_urls, undeleted
from generations.bucket.errors import StorageError
from generations.reports import worker_hosts
from generations.upstream import accounts, wires
from generations.upstream.errors import UpstreamError
from generations.upstream.protocol import Account
from seedance_service import model_checks
from seedance_service.findings import OK, WARNING, WRONG, Finding
from tenants.db.engine import engine

# Differences between two clocks. Leases compare the clocks of hosts, and S3 refuses a difference of 900 s.
MAX_SKEW_SECONDS, MAX_TOLERATED_SKEW_SECONDS = 2.0, 60.0
MIN_DISK_BYTES = 2 * 1024**3  # a copy of unknown length goes through a file
BROKER_FIX = (
    "Set BROKER_URL to a broker that answers, or to orm. The keys of a store other than AWS are not sent to SQS."
)
CHECK_NAME_AND_KEYS = "Check the bucket's name and the keys."
MIN_CONNECTIONS = 110  # two web processes of 32 threads, one worker with its default threads, and some for people


def run_checks(*, with_routes: bool = False) -> Iterator[Finding]:
    """Run all checks, and yield their findings with the time that each took.

    `with_routes`: also ask the upstream whether the route of each model still lives.
    """
    for check in (*CHECKS, *([model_checks.check_routes] if with_routes else [])):
        started = time.monotonic()
        for finding in check():
            yield replace(finding, milliseconds=(time.monotonic() - started) * 1000)
            started = time.monotonic()


def check_settings() -> Iterator[Finding]:
    """Run Django's system checks, with those for a deployment."""
    messages = [message for message in checks.run_checks(include_deployment_checks=True) if not message.is_silenced()]
    for message in messages:
        level = WRONG if message.level >= checks.ERROR else WARNING
        yield Finding("settings", level, f"{message.id}: {message.msg}", message.hint or "Set it in the environment.")
    if not messages:
        yield Finding("settings", OK, "nothing is missing")


def check_database() -> Iterator[Finding]:
    """Check that the database answers, has all migrations, and suits this deployment."""
    try:
        yield _check_migrations()
        yield _check_server()
        for risk in engine.durability_risks():
            yield Finding("durability", WARNING, risk.fact, risk.fix)
    except Error as error:
        fix = "Start the database, and set DATABASE_URL to its address."
        yield Finding("database", WRONG, f"the database does not answer: {type(error).__name__}", fix)


def _check_migrations() -> Finding:
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        return Finding("database", WRONG, f"{len(missing)} migrations are not applied", "Run manage.py migrate.")
    return Finding("database", OK, "all migrations are applied")


def _check_server() -> Finding:
    database = engine.describe()
    if database.at and (clock := _check_clock("database", database.at)).level != OK:
        return clock
    if database.one_host_only:
        fix = "If web and worker run on more than one host, set DATABASE_URL to a PostgreSQL database."
        return Finding("database", OK if settings.DEBUG else WARNING, database.sentence, fix)
    if database.max_connections is not None and database.max_connections < MIN_CONNECTIONS:
        fix = f"Set max_connections to {MIN_CONNECTIONS} or more: each thread of web and worker has a connection."
        return Finding("database", WARNING, database.sentence, fix)
    return Finding("database", OK, database.sentence)


def check_broker() -> Iterator[Finding]:
    """Check that the queue answers."""
    try:
        wakeups.check_broker()
    except Exception as error:  # each broker has its own client with its own errors
        fact = f"the broker does not answer: {type(error).__name__}"
        yield Finding("broker", WRONG, fact, BROKER_FIX)
    else:
        yield Finding("broker", OK, "the broker answers")


def check_bucket() -> Iterator[Finding]:
    """Check what the service's role may do with the bucket, signed URLs, and the bucket's clock."""
    if not settings.S3_BUCKET:
        yield Finding("bucket", WRONG, "S3_BUCKET is not set", "Set it to a private bucket of your own.")
        return
    key, step = f"doctor/{secrets.token_hex(16)}", ""
    try:
        yield _check_credentials()
        at = client.ping()
        for step in self_test.run(key):
            if step == "ListBucket":
                yield from _check_signed_urls(key)
    except StorageError as error:
        fact, fix = self_test.explain_refusal(error)
        otherwise = f"Give the service's role {step.split()[0]} on that bucket." if step else CHECK_NAME_AND_KEYS
        yield Finding("bucket", WRONG, f"{step or 'HeadBucket'}: {fact}", fix or otherwise)
        return
    yield Finding("bucket", OK, "objects can be put, read, listed and deleted, and are not overwritten")
    yield _check_clock("bucket", at)


def _check_credentials() -> Finding:
    facts = self_test.describe_credentials()
    if facts.is_shorter:
        fix = "Signed URLs end with the session: lower SIGNED_URL_TTL, or use credentials that last longer."
        return Finding("credentials", WARNING, facts.fact, fix)
    return Finding("credentials", OK, facts.fact)


def _check_signed_urls(key: str) -> Iterator[Finding]:
    """Check that a signed URL works over HTTP at S3_PUBLIC_URL, as for callers, and a wrong signature does not."""
    url = signed_urls.sign(key, content_type="text/plain", file_name="doctor")
    status, status_of_wrong = _status(url), _status(url.replace("Signature=", "Signature=0"))
    if status != 200:
        fix = "Set S3_PUBLIC_URL to an address where callers, and this host, reach S3."
        yield Finding("signed URLs", WRONG, f"answer to a signed URL: {status}", fix)
    elif status_of_wrong == 200:
        fix = "Use an S3 that checks signatures, and make the bucket private."
        yield Finding("signed URLs", WRONG, "a URL with a wrong signature is served too", fix)
    else:
        yield Finding("signed URLs", OK, "a signed URL is served, and refused with a wrong signature")


def _status(url: str) -> int | str:
    """Return the HTTP status of a URL, or a sentence if there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  # our own URL, http or https
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError as error:
        return f"no answer ({type(error).__name__})"


def check_deletions() -> Iterator[Finding]:
    """Check that S3 has deleted what it was asked to."""
    try:
        stays = undeleted.summarize()
    except Error:
        return  # check_database has reported that
    if not stays.count:
        yield Finding("deletions", OK, "S3 has deleted all that was to be deleted")
        return
    reasons = ", ".join(stays.reasons)
    fact = f"{stays.count} objects could not be deleted, the first since {stays.since:%Y-%m-%d}: {reasons}"
    fix = "Let the service's role delete objects, and end retention locks; each is tried again by itself."
    yield Finding("deletions", WARNING, fact, fix)


def check_upstreams() -> Iterator[Finding]:
    """Check that each upstream whose key is set accepts it, by a request that costs nothing, and its clock."""
    usable = [account for account in accounts.load() if account.is_configured and accounts.is_live(account.name)]
    for account in usable:
        if not account.is_guest:
            yield from _check_upstream(account)
    if not usable:
        yield Finding("upstream", WRONG, "no upstream account has a key", "Set NOVITA_API_KEY or ARK_API_KEY.")


def _check_upstream(account: Account) -> Iterator[Finding]:
    """Check one account."""
    name = f"upstream {account.name}"
    try:
        at = wires.get(account.wire).check_account(account)
    except UpstreamError as error:
        fix = f"Check {account.key_setting} and the balance in the upstream's console; the panel shows paused submits."
        if "failed" in str(error):
            fix = f"Open the network path to {account.url_setting}: a firewall, a proxy or the name may be wrong."
        yield Finding(name, WRONG, str(error), fix)
        return
    yield Finding(name, OK, "the upstream answers and accepts the key")
    yield _check_clock(name, at)


def check_worker() -> Iterator[Finding]:
    """Check that a worker of any host has a recent heartbeat."""
    try:
        age = worker_hosts.latest_heartbeat_age()
    except Error:
        return  # check_database has reported that
    if age is None or age > worker_hosts.SILENT_AFTER:
        fact = "no heartbeat yet" if age is None else f"no heartbeat for {age.total_seconds():.0f} s"
        fix = "Start the Procfile's worker. If it runs, its log says what is wrong."
        yield Finding("worker", WARNING, fact, fix)
    else:
        yield Finding("worker", OK, f"last heartbeat {age.total_seconds():.0f} s ago")


def check_disk() -> Iterator[Finding]:
    """Check the free space for copies that go through a file."""
    free = shutil.disk_usage(settings.VAR_DIR if settings.VAR_DIR.exists() else "/").free
    fact = f"{free / 1024**3:.1f} GiB free"
    if free < MIN_DISK_BYTES:
        fix = f"Free some space: copies may need {MIN_DISK_BYTES // 1024**3} GiB for a while."
        yield Finding("disk", WARNING, fact, fix)
    else:
        yield Finding("disk", OK, fact)


def _check_clock(owner: str, at: datetime | None) -> Finding:
    name = f"clock of the {owner}"
    if at is None:
        return Finding(name, WARNING, "the answer has no time", "Compare the clocks by hand.")
    skew = abs((datetime.now(UTC) - at).total_seconds())
    fact = f"{skew:.0f} s from this host's clock"
    if skew <= MAX_SKEW_SECONDS:  # the date of an HTTP header has no fractions of a second
        return Finding(name, OK, fact)
    fix = "Set this host's clock by NTP; leases and signatures depend on it."
    return Finding(name, WRONG if skew > MAX_TOLERATED_SKEW_SECONDS else WARNING, fact, fix)


CHECKS = (
    *(check_settings, check_database, check_broker, check_bucket),
    *(check_deletions, check_upstreams, model_checks.check_accounts, model_checks.check_ends, check_worker, check_disk),
)
