"""Why generations failed: their number by error code."""

from collections import Counter
from datetime import datetime

from django.db.models import Count, QuerySet

from generations.models import Generation


def count_by_code(since: datetime) -> list[tuple[str, int]]:
    """Return the error codes of live generations that failed since then, the most frequent first."""
    rows = Generation.objects.filter(finished_at__gte=since, status=Generation.Status.FAILED, test=False)
    return list(rows.values_list("error_code").annotate(count=Count("pk")).order_by("-count", "error_code"))


def count_failures(rows: QuerySet[Generation], max_count: int) -> tuple[dict[str, int], bool]:
    """Return the error codes of those rows that failed, the most frequent first, and whether there are more failures.

    `max_count` failures are read at most, in no order: no order would be cheap under every filter.
    """
    failed = rows.filter(status=Generation.Status.FAILED).order_by()
    codes = list(failed.values_list("error_code", flat=True)[: max_count + 1])
    counts = Counter(codes[:max_count])
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))), len(codes) > max_count
