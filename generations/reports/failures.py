"""Why generations failed: their number by error code."""

from datetime import datetime

from django.db.models import Count

from generations.models import Generation


def count_by_code(since: datetime) -> list[tuple[str, int]]:
    """Return the error codes of live generations that failed since then, the most frequent first."""
    rows = Generation.objects.filter(finished_at__gte=since, status=Generation.Status.FAILED, test=False)
    return list(rows.values_list("error_code").annotate(count=Count("pk")).order_by("-count", "error_code"))
