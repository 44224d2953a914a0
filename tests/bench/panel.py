"""Every page of the panel with a million generations of 200 tenants, and with a thousand, on PostgreSQL.

A page may take MAX_RATIO times as long with the million, and fewer than MAX_QUERIES queries. It runs in a process of
its own: it sets Django up.
"""

import os
import time
from collections.abc import Iterator
from typing import Any

from tests.bench import database
from tests.bench.rounds import Figure
from tests.bench.table import Line

GROUP = "Panel, PostgreSQL"
MAX_RATIO, MAX_QUERIES = 3.0, 36
TIMES = 9  # that each page is read
FEW, TENANTS, LIVE = 1000, 200, 100


def lines(rows: int) -> Iterator[Line]:
    """Yield a line for each page, with `rows` generations."""
    os.sched_setaffinity(0, {0})  # the database has the other core
    with database.made("PostgreSQL", "seedance_bench_panel"):
        yield from Panel(rows).lines()


class Panel:
    """An operator who reads the pages."""

    def __init__(self, rows: int) -> None:
        from django.contrib.auth.models import User

        from tests.http_client import Client

        self.rows, self.http = rows, Client()
        self.http.force_login(User.objects.create_superuser("olga"))
        _begin()

    def lines(self) -> Iterator[Line]:
        """Fill the database in two steps, and measure all pages after each."""
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")  # the copies refer to rows that exist
        _fill(1, FEW)
        few = {name: self._measured(address) for name, address in addresses().items()}
        _fill(FEW + 1, self.rows)
        for name, address in addresses().items():
            took, queries = self._measured(address)
            yield self._line(name, few[name][0], took, queries)

    def _measured(self, address: str) -> tuple[Figure, int]:
        """Return the milliseconds of each read of the page, and the number of its queries."""
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as queries:
            self._read(address)
        count = len(queries)  # the next read empties the list
        return Figure.of(self._read(address) for _ in range(TIMES)), count

    def _read(self, address: str) -> float:
        """Return the milliseconds in which the page answers. Raise AssertionError if it does not succeed."""
        started = time.perf_counter()
        answer = self.http.get(address)
        assert answer.status_code == 200, (address, answer.status_code)
        return (time.perf_counter() - started) * 1000

    def _line(self, name: str, few: Figure, took: Figure, queries: int) -> Line:
        ratio = took.median / few.median
        target, met = f"≤ {MAX_RATIO:.0f} ×, < {MAX_QUERIES} queries", ratio <= MAX_RATIO and queries < MAX_QUERIES
        more = f"{ratio:.2f} × the {few.median:.1f} ms with {FEW:,} generations; {queries} queries"
        return Line(GROUP, f"{name}, {self.rows:,} generations", took, "ms", more, None, "", target, met)


def addresses() -> dict[str, str]:
    """Return the addresses of all lists, of one row's page of each, and of generations by each filter and search."""
    from django.contrib import admin
    from django.urls import reverse

    from generations.models import Generation

    found = {"dashboard": reverse("admin:index")}
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        found[name] = reverse(f"admin:{name}_changelist")
        row = model._default_manager.order_by("pk").last()
        if row and name != "generations_seedrecord":  # its page is that of its generation
            found[f"{name}, one"] = reverse(f"admin:{name}_change", args=[row.pk])
    one = Generation.objects.filter(status="succeeded").select_related("api_key").order_by("pk")[500]
    assert one.api_key is not None
    queries: dict[str, dict[str, Any]] = {
        "id": {"q": one.pk},
        "upstream id": {"q": one.upstream_id},
        "external id": {"q": one.external_id},
        "key prefix": {"q": one.api_key.prefix},
        "seed, one": {"q": one.seed},
        "seed, many": {"q": 7},
        "SHA-256": {"q": one.video_sha256},
        "nothing": {"q": "nobodys"},
        "status, many": {"status__exact": "succeeded"},
        "status, few": {"status__exact": "failed"},
        "status, none": {"status__exact": "in_doubt", "mode": "all"},
        "tenant": {"tenant__id__exact": one.tenant_id},
        "resolution": {"resolution": "480p"},
        "live": {"attention": "live"},
        "stalled": {"attention": "stalled"},
        "last day": {"within": "day"},
        "page 10": {"p": 10},
    }
    lists = {"generations": "generations_generation", "seeds": "generations_seedrecord"}
    for name, query in queries.items():
        found[f"generations by {name}"] = reverse(f"admin:{lists['generations']}_changelist", query=query)
    for name in ("seed, one", "seed, many", "tenant"):
        found[f"seeds by {name}"] = reverse(f"admin:{lists['seeds']}_changelist", query=queries[name])
    ledger = {"generation": {"q": one.pk}, "key": {"q": one.api_key.prefix}, "kind": {"kind__exact": "hold"}}
    for name, query in ledger.items():
        found[f"ledger by {name}"] = reverse("admin:tenants_ledgerentry_changelist", query=query)
    return found


# Generations over a month, the newest still rendering; their ids hold their times, as the service's do.
NUMBERED = """
    SELECT n, made_at, n > {live} AS live,
        first_tenant + mod(n, {tenants}) AS tenant, first_key + mod(n, {tenants}) AS key,
        (lpad(to_hex(floor(extract(epoch FROM made_at) * 1000)::bigint), 12, '0') || '7'
        || lpad(to_hex(mod(n, 4096)), 3, '0') || '8' || substr(md5(n::text), 1, 15))::uuid AS made_id
    FROM (SELECT n, timestamptz '{now}' - interval '30 days' * ({last} - n) / {span} AS made_at,
        (SELECT min(id) FROM tenants_tenant) AS first_tenant, (SELECT min(id) FROM tenants_apikey) AS first_key
        FROM generate_series({first}, {last}) n) s
"""
ENDED = "CASE WHEN live THEN {live} ELSE {ended} END"
STATUS = "CASE WHEN live THEN 'running' WHEN mod(n, 200) = 0 THEN 'failed' ELSE 'succeeded' END"
GENERATION = {
    "id": "made_id",
    "created_at": "made_at",
    "tenant_id": "tenant",
    "api_key_id": "key",
    "seed": "CASE WHEN mod(n, 100) = 0 THEN 7 ELSE n END",
    "external_id": "'job-' || n",
    "status": STATUS,
    "error_code": "CASE WHEN mod(n, 200) = 0 AND NOT live THEN 'upstream_failed' ELSE '' END",
    "error_message": "CASE WHEN mod(n, 200) = 0 AND NOT live THEN 'No.' ELSE '' END",
    "due_at": ENDED.format(live="now() + interval '1 day'", ended="NULL"),
    "finished_at": ENDED.format(live="NULL", ended="made_at + (30 + mod(n, 90)) * interval '1 second'"),
    "submitted_at": "made_at + interval '1 second'",
    "upstream_id": "'up-' || n",
    "video_key": ENDED.format(live="''", ended="'videos/1/' || n || '.mp4'"),
    "video_sha256": ENDED.format(live="''", ended="md5(n::text) || md5((-n)::text)"),
    "video_size": ENDED.format(live="NULL", ended="1000000"),
    "poster_key": "'videos/1/' || n || '.jpg'",
}
OF_ONE = {"id": "{number} + n * 10", "generation_id": "made_id"}
EVENT = {**OF_ONE, "at": "made_at"}
ATTEMPT = {**OF_ONE, "started_at": "made_at", "finished_at": "made_at", "outcome": "'created'"}
ENTRY = {**OF_ONE, "at": "made_at", "tenant_id": "tenant", "api_key_id": "key"}
DELIVERY = {
    "id": "made_id",
    "generation_id": "made_id",
    "tenant_id": "tenant",
    "message_id": "'evt_' || n",
    "created_at": "made_at",
}


def _begin() -> None:
    """Create 200 tenants with a key each, a worker's heartbeat, and a first generation with all rows that one has."""
    from generations import lifecycle
    from generations.models import Delivery
    from generations.reports import worker_hosts
    from tests.support import attempts
    from tests.support.factories import Caller, make_generation

    callers = [Caller(f"tenant {number:03}") for number in range(TENANTS)]
    first = make_generation(callers[0])
    attempt = attempts.start_submitting(first)
    assert attempt is not None
    assert lifecycle.mark_running(first, attempt, "first", 2)
    lifecycle.fail(first, "upstream_failed", "No.", fenced=False)
    Delivery.objects.create(
        tenant=callers[0].tenant,
        test=False,
        generation=first,
        url="https://receiver.example/",
        message_id="first",
        type="generation.failed",
        status="delivered",
        finished_at=first.finished_at,
    )
    worker_hosts.record_heartbeat()


def _fill(first: int, last: int) -> None:
    """Copy the first generation and its rows, as the numbers `first` to `last`."""
    from django.db import connection
    from django.utils import timezone

    from generations.models import Attempt, Delivery, Event, Generation, HourlyStatistics, StorageUse
    from generations.reports import hourly_statistics
    from tenants.models import LedgerEntry

    facts = {
        "first": first,
        "last": last,
        "span": last - first,
        "live": last - LIVE,
        "tenants": TENANTS,
        "now": timezone.now(),
    }
    numbered = NUMBERED.format(**facts)
    template = Generation.objects.order_by("created_at").get(upstream_id="first")
    database.copy(template, GENERATION, numbered)
    for number, (row, changed) in enumerate(
        [
            *((event, EVENT) for event in Event.objects.filter(generation=template)),
            *((attempt, ATTEMPT) for attempt in Attempt.objects.filter(generation=template)),
            *((entry, ENTRY) for entry in LedgerEntry.objects.filter(generation_id=template.pk)),
            *((delivery, DELIVERY) for delivery in Delivery.objects.filter(message_id="first")),
        ]
    ):
        database.copy(row, {column: sql.format(number=number) for column, sql in changed.items()}, numbered)
    HourlyStatistics.objects.all().delete()  # the copies are of hours that are already stored
    StorageUse.objects.all().delete()
    while hourly_statistics.store_past_hours():
        pass
    hourly_statistics.update_storage_use()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
