"""Every page of the panel with a million generations of 200 tenants, and with a thousand, on PostgreSQL.

Each time is a median, as a ratio to the same page's with a thousand, in the same run on the same database. Exits with 1
where a page takes more than RATIO times as long, or MOST_QUERIES or more.
"""

import argparse
import statistics
import sys
import time
from typing import Any

from tests.bench import database
from tests.support import attempts

RATIO, MOST_QUERIES = 3.0, 30
ROUNDS = 9
FEW, TENANTS, LIVE = 1000, 200, 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    with database.made("seedance_bench_panel"):
        return Panel(rows).run()


class Panel:
    def __init__(self, rows: int) -> None:
        from django.contrib.auth.models import User

        from tests.http_client import Client

        self.rows, self.http = rows, Client()
        self.http.force_login(User.objects.create_superuser("olga"))
        _begin()

    def run(self) -> int:
        from django.db import connection

        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = replica")  # what refers to what is known to be right
        _fill(1, FEW)
        few = {name: self._measured(address) for name, address in addresses().items()}
        started = time.monotonic()
        _fill(FEW + 1, self.rows)
        print(f"{self.rows:,} generations of {TENANTS} tenants, made in {time.monotonic() - started:.0f} s\n")
        many = {name: self._measured(address) for name, address in addresses().items()}
        return self._report(few, many)

    def _measured(self, address: str) -> tuple[float, int]:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        with CaptureQueriesContext(connection) as asked:
            self._asked(address)
        queries = len(asked)
        took = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            self._asked(address)
            took.append(time.perf_counter() - started)
        return statistics.median(took), queries

    def _asked(self, address: str) -> None:
        answer = self.http.get(address)
        assert answer.status_code == 200, (address, answer.status_code)

    def _report(self, few: dict[str, tuple[float, int]], many: dict[str, tuple[float, int]]) -> int:
        print(f"{'page':44}{f'ms at {FEW:,}':>12}{f'at {self.rows:,}':>14}{'ratio':>8}{'queries':>9}")
        failures = 0
        for name, (took, queries) in many.items():
            ratio = took / few[name][0]
            bad = ratio > RATIO or queries >= MOST_QUERIES
            failures += bad
            times = f"{few[name][0] * 1000:12.1f}{took * 1000:14.1f}"
            print(f"{name:44}{times}{ratio:8.2f}{queries:9d}{'  !' if bad else ''}")
        print(f"\n{failures} pages above {RATIO} times, or with {MOST_QUERIES} queries")
        return min(failures, 1)


def addresses() -> dict[str, str]:
    """Each list of the panel and one page of a row of each; and generations by every filter and kind of search."""
    from django.contrib import admin
    from django.urls import reverse

    from generations.models import Generation

    found = {"dashboard": reverse("admin:index")}
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        found[f"{name}"] = reverse(f"admin:{name}_changelist")
        row = model._default_manager.order_by("pk").last()
        if row and name != "generations_seedrecord":  # whose page is its generation's
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


# A month of them, the newest still rendering; the ids are those of their moments.
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
    """200 tenants with a key each, a first generation with all that belongs to one, a worker that has looked."""
    from generations import lifecycle
    from generations.models import Delivery
    from generations.reports import worker_hosts
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
    HourlyStatistics.objects.all().delete()  # what was filled in is of hours that are over
    StorageUse.objects.all().delete()
    while hourly_statistics.store_past_hours():
        pass
    hourly_statistics.update_storage_use()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    sys.exit(main())
