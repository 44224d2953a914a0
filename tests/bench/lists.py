"""GET /v1/generations over a million generations of one tenant: each filter, at each depth.

Every time is a median, as a ratio to the first page of the whole list, measured in turns in the same run; each plan
must read the list's order from an index. It runs in a process of its own: it sets Django up.
"""

import os
import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlencode

from tests.bench import database
from tests.bench.table import Line

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
        "metadata, a frequent value": {"metadata[team]": "web"},
        "metadata, a rare value": {"metadata[team]": "zoo"},
        "metadata, a name": {"metadata_key": "team"},
    }


def lines(kind: str, rows: int) -> Iterator[Line]:
    """Yield a line for each filter, over `rows` generations."""
    os.sched_setaffinity(0, {0})  # the database has the other core
    with database.made(kind, "seedance_bench_lists"):
        yield from Lists(kind, rows).lines()


class Lists:
    """A tenant with many generations, who reads pages of the list."""

    def __init__(self, kind: str, rows: int) -> None:
        from tests.support.factories import Caller

        self.alice, self.rows, self.group = Caller("alice"), rows, f"Lists by filter and depth, {kind}"
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
        return lambda: self._answered(query)

    def _answered(self, query: dict[str, str]) -> None:
        answer = self.alice.http.get("/v1/generations", query)
        assert answer.content.startswith(b'{"generations":[{'), (answer.status_code, answer.content)

    def _matching(self, query: dict[str, str], rows: int | None = None) -> Any:
        from django.http import QueryDict

        from generations.api import generation_list, generation_queries

        asked = generation_list.Filters(data=QueryDict(urlencode(query)))
        asked.is_valid(raise_exception=True)
        return generation_queries.build(*generation_list.conditions(self.alice.key, asked.validated_data), rows)

    def _cursor(self, row: Any) -> str:
        from rest_framework.request import Request
        from rest_framework.test import APIRequestFactory

        from generations.api import pagination

        request = Request(APIRequestFactory().get("/v1/generations"))
        request.auth = self.alice.key
        return pagination.cursor_of(request, row.created_at, row.pk)

    def _plan(self, query: dict[str, str]) -> str:
        return str(self._matching(query, 51).explain())

    def _report(self, medians: dict[tuple[str, float], float], plans: dict[str, str]) -> Iterator[Line]:
        base = medians["none", 0.0]
        yield Line(self.group, f"first page of the whole list, {self.rows:,} generations", base * 1000, "ms")
        for name in filters():
            ratios = {depth: medians[name, depth] / base for depth in DEPTHS}
            index, sound = _index(plans[name])
            by_depth = ", ".join(f"{ratio:.2f} at {depth:.1%}" for depth, ratio in ratios.items())
            more = f"{by_depth}; index {index}" + ("" if sound else f"; plan: {' '.join(plans[name].split())}")
            worst, target = max(ratios.values()), f"≤ {RATIO} × at any depth, by an index"
            met = sound and worst <= RATIO
            yield Line(self.group, f"filter: {name}", worst, "× the first page", more, None, "", target, met)


def _index(plan: str) -> tuple[str, bool]:
    """Return the index that gives the order, and whether nothing is sorted or read whole."""
    found = re.search(r"(?i)using (?:covering )?(?:index )?((?:generation|label)_by\w+)", plan)
    is_dear = re.search(
        r"Seq Scan on generations_(generation|label)|SCAN generations_\w+$|Sort|TEMP B-TREE", plan, re.M
    )
    return found[1] if found else "none", bool(found) and not is_dear


def _fill(alice: Any, count: int) -> None:
    """Create `count` generations with labels, one for each second from 2020 on, of two keys."""
    from django.db import connection

    from tenants.models import ApiKey
    from tests.bench import rows
    from tests.support.factories import make_generation

    other = alice.with_key()
    ApiKey.objects.filter(pk=other.key.pk).update(prefix=PREFIX)
    rows.copy(make_generation(alice), 1, count, other_key=other.key.pk)
    rows.label()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
