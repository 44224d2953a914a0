"""Check everything that the service needs, and say how to fix what is wrong.

The checks cost no money and leave nothing behind.
"""

import time
from collections.abc import Iterator
from dataclasses import replace

from django.conf import settings
from django.core import checks
from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor

from generations import wakeups
from generations.reports import worker_hosts
from generations.upstream import accounts, wires
from generations.upstream.errors import UpstreamError
from generations.upstream.protocol import Account
from generations.worker import spool
from seedance_service import bucket_checks, login_checks, model_checks
from seedance_service.clock_checks import check_clock
from seedance_service.findings import OK, WARNING, WRONG, Finding
from tenants.db.engine import engine

BROKER_FIX = (
    "Set BROKER_URL to a broker that answers, or to orm. The keys of a store other than AWS are not sent to SQS."
)
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
    if database.at and (clock := check_clock("database", database.at)).level != OK:
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
    yield check_clock(name, at)


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
    """Check the folder for videos on their way to the bucket, which a worker's host needs."""
    try:
        with spool.open_spool():
            free = spool.free_bytes()
    except (OSError, spool.DiskShort) as error:
        fix = "Set SPOOL_DIR to a folder that the worker may write to, with SPOOL_MB free."
        yield Finding("disk", WRONG, f"no file can be made in {settings.SPOOL_DIR}: {error}", fix)
        return
    fact = f"{settings.SPOOL_DIR} has {free // 1024**2:,} MB free; copies use {settings.SPOOL_MB:,} MB at most"
    if free < settings.SPOOL_MB * 1024**2 + spool.MIN_FREE_BYTES:
        yield Finding("disk", WARNING, fact, "Where a worker runs, free some space, or copies wait for each other.")
    else:
        yield Finding("disk", OK, fact)


CHECKS = (
    *(check_settings, check_database, check_broker, bucket_checks.check_bucket),
    *(
        bucket_checks.check_deletions,
        check_upstreams,
        model_checks.check_accounts,
        model_checks.check_ends,
        check_worker,
        check_disk,
        login_checks.check_company_login,
    ),
)
