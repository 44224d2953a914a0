"""GET /v1/generations over a million generations of one tenant, on PostgreSQL: each filter, at each depth.

Every time is a median, as a ratio to the first page of the whole list, measured in turns in the same run; each plan
must read the list's order from an index. It runs in a process of its own: it sets Django up.
"""

import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.bench import database
from tests.bench.table import Line

GROUP = "Lists by filter and depth, PostgreSQL"

RATIO = 1.2
ROUNDS = 31
DEPTHS = (0.0, 0.1, 0.5, 0.9, 0.999)  # of the rows that the filter finds
PREFIX = "sds_live_bench0000001"


def filters() -> dict[str, dict[str, str]]:
    """Each of them finds many rows, but for the one that finds few."""
    return {
        "none": {},
        "status": {"status": "succeeded"},
        "status, few": {"status": "failed"},
        "model": {"model": "seedance-v1-lite-i2v"},
        "seed": {"seed": "7"},
        "key": {"key": PREFIX},
        "external_id": {"external_id": "campaign"},
        "created_after": {"created_after": "2020-01-06T00:00:00Z"},
        "created_before": {"created_before": "2020-01-06T00:00:00Z"},
        "metadata, one value": {"metadata[team]": "web"},
        "metadata, a name": {"metadata_key": "team"},
    }


def lines(rows: int) -> Iterator[Line]:
    """Yield a line for each filter, over `rows` generations."""
    os.sched_setaffinity(0, {0})  # the database has the other core
    with database.made("seedance_bench_lists"):
        yield from Lists(rows).lines()


class Lists:
    """A tenant with many generations, who reads pages of the list."""

    def __init__(self, rows: int) -> None:
        from tests.support.factories import Caller

        self.alice, self.rows = Caller("alice"), rows
        _fill(self.alice, rows)

    def lines(self) -> Iterator[Line]:
        """Read all pages in turns, and compare their medians."""
        calls = {(name, depth): self._call(query, depth) for name, query in filters().items() for depth in DEPTHS}
        plans = {name: self._plan(query) for name, query in filters().items()}
        took: dict[tuple[str, float], list[float]] = {one: [] for one in calls}
        for _ in range(ROUNDS):
            for one, call in calls.items():
                started = time.perf_counter()
                call()
                took[one].append(time.perf_counter() - started)
        return self._report({one: statistics.median(times) for one, times in took.items()}, plans)

    def _call(self, query: dict[str, str], depth: float) -> Callable[[], Any]:
        found = self._matching(query)
        at = int(found.count() * depth)
        if at:
            query = {**query, "cursor": self._cursor(found[at - 1])}
        return lambda: self._asked(query)

    def _asked(self, query: dict[str, str]) -> Any:
        answer = self.alice.http.get("/v1/generations", query)
        assert answer.status_code == 200, answer.content
        assert answer.json()["generations"]
        return answer

    def _matching(self, query: dict[str, str]) -> Any:
        from generations.api import generation_list

        request = self._request(query)
        asked = generation_list.Filters(data=request.query_params)
        asked.is_valid(raise_exception=True)
        rows, order = generation_list.filter_rows(request, asked.validated_data)
        return rows.order_by(*(f"-{name}" for name in order))

    def _cursor(self, row: Any) -> str:
        from generations.api import pagination

        return pagination.cursor_of(self._request({}), row.created_at, getattr(row, "generation_id", row.pk))

    def _request(self, query: dict[str, str]) -> Any:
        from rest_framework.request import Request
        from rest_framework.test import APIRequestFactory

        request = Request(APIRequestFactory().get("/v1/generations", query))
        request.auth = self.alice.key
        return request

    def _plan(self, query: dict[str, str]) -> str:
        return str(self._matching(query)[:51].explain())

    def _report(self, medians: dict[tuple[str, float], float], plans: dict[str, str]) -> Iterator[Line]:
        base = medians["none", 0.0]
        yield Line(GROUP, f"first page of the whole list, {self.rows:,} generations", base * 1000, "ms")
        for name in filters():
            ratios = {depth: medians[name, depth] / base for depth in DEPTHS}
            index, sound = _index(plans[name])
            by_depth = ", ".join(f"{ratio:.2f} at {depth:.1%}" for depth, ratio in ratios.items())
            more = f"{by_depth}; index {index}" + ("" if sound else f"; plan: {' '.join(plans[name].split())}")
            worst, target = max(ratios.values()), f"≤ {RATIO} × at any depth, by an index"
            met = sound and worst <= RATIO
            yield Line(GROUP, f"filter: {name}", worst, "× the first page", more, None, "", target, met)


def _index(plan: str) -> tuple[str, bool]:
    """The index that gives the order, and whether nothing is sorted or read whole."""
    used = [
        word
        for line in plan.splitlines()
        if "using generation_" in line or "using label_" in line
        for word in line.split()
    ]
    name = next((word for word in used if word.startswith(("generation_", "label_"))), "none")
    return name, name != "none" and not re.search(
        "Seq Scan on generations_(generation|label)", plan
    ) and "Sort" not in plan


CHANGED = {
    "id": "made_id",
    "created_at": "made_at",
    "seed": "CASE WHEN mod(n, 4) = 0 THEN 7 ELSE n END",
    "api_key_id": "CASE WHEN mod(n, 4) = 1 THEN {other} ELSE api_key_id END",
    "external_id": "CASE WHEN mod(n, 4) = 2 THEN 'campaign' ELSE 'job-' || n END",
    "metadata": '\'{{"team": "web"}}\'::jsonb',
    "status": "CASE WHEN mod(n, 1000) = 0 THEN 'failed' ELSE 'succeeded' END",
    "error_code": "CASE WHEN mod(n, 1000) = 0 THEN 'upstream_failed' ELSE '' END",
    "error_message": "CASE WHEN mod(n, 1000) = 0 THEN 'No.' ELSE '' END",
    "due_at": "NULL",
    "finished_at": "made_at + interval '40 seconds'",
    "submitted_at": "made_at + interval '1 second'",
    "upstream_id": "'up-' || n",
    "video_key": "'videos/1/' || n || '.mp4'",
    "video_sha256": "repeat('ab', 32)",
    "video_size": "9",
    "poster_key": "'videos/1/' || n || '.jpg'",
}
NUMBERED = """
    SELECT n, made_at, (lpad(to_hex(floor(extract(epoch FROM made_at) * 1000)::bigint), 12, '0') || '7'
        || lpad(to_hex(mod(n, 4096)), 3, '0') || '8' || substr(md5(n::text), 1, 15))::uuid AS made_id
    FROM (SELECT n, timestamptz '2020-01-01' + n * interval '1 second' AS made_at FROM generate_series(1, {rows}) n) s
"""
LABELS = """
    INSERT INTO generations_label (generation_id, tenant_id, test, created_at, name, value)
    SELECT id, tenant_id, test, created_at, 'team', CASE WHEN seed = 7 THEN 'web' ELSE 'app' END
    FROM generations_generation
"""


def _fill(alice: Any, rows: int) -> None:
    """One a second from 2020 on, each a copy of one that was made as the service makes it."""
    from django.db import connection

    from tenants.models import ApiKey
    from tests.support.factories import make_generation

    other, template = alice.with_key(), make_generation(alice)
    ApiKey.objects.filter(pk=other.key.pk).update(prefix=PREFIX)
    changed = {column: sql.format(other=other.key.pk) for column, sql in CHANGED.items()}
    database.copy(template, changed, NUMBERED.format(rows=rows))
    with connection.cursor() as cursor:
        cursor.execute(LABELS)
        cursor.execute("ANALYZE generations_generation, generations_label")
