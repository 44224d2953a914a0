"""Why generations failed: their number by error code."""

from collections import Counter
from datetime import datetime

from django.db.models import Count, QuerySet

from generations.models import Generation


def count_by_code(since: datetime) -> list[tuple[str, int]]:
    """Return the error codes of live generations that failed since then, the most frequent first."""
    rows = Generation.objects.filter(finished_at__gte=since, status=Generation.Status.FAILED, test=False)
    return list(rows.values_list("error_code").annotate(count=Count("pk")).order_by("-count", "error_code"))


def count_failures(
    rows: QuerySet[Generation], candidates: QuerySet[Generation], max_count: int
) -> tuple[dict[str, int], bool]:
    """Return the error codes of those `rows` that failed, the most frequent first, and whether not all were read.

    Of the `candidates`, rows that an index finds and that contain all `rows`, `max_count` failures are read at most, in
    no order. So it costs the same, however few of them are among the `rows`.
    """
    failed = candidates.filter(status=Generation.Status.FAILED).order_by().values("pk")
    found = rows.filter(status=Generation.Status.FAILED, pk__in=failed[:max_count]).order_by()
    counts = Counter(found.values_list("error_code", flat=True))
    is_cut = bool(failed[max_count : max_count + 1])
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))), is_cut
