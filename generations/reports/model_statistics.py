"""How each model fares, for the panel: its live generations that finished within a day, and its last success.

One query adds up the day, by an index of what has finished; each last success is the first row of another index.
"""

from collections import defaultdict
from datetime import datetime, timedelta

from django.db.models import Count, F

from generations.models import Generation
from generations.reports.hourly_statistics import Counts, bucket_number

Status = Generation.Status
DAY = timedelta(days=1)


def count_last_day(now: datetime) -> dict[str, Counts]:
    """Return the live generations that finished in the last 24 hours, by model. Models without any are left out."""
    rows = Generation.objects.filter(finished_at__gte=now - DAY, test=False).order_by()
    in_buckets = rows.annotate(bucket=bucket_number())
    by_model: defaultdict[str, Counts] = defaultdict(Counts)
    for model, status, bucket, finished in in_buckets.values_list("model", "status", "bucket").annotate(Count("pk")):
        counts = by_model[model]
        setattr(counts, status, getattr(counts, status) + finished)
        if status == Status.SUCCEEDED:
            counts.duration_histogram[bucket] += finished
    return dict(by_model)


def last_success(model: str) -> datetime | None:
    """Return when a live generation of the model last succeeded. Return None if none did."""
    # `test__in` is how the index has the mode: SQLite uses no index for `NOT test`.
    rows = Generation.objects.filter(model=model, test__in=[False], status=Status.SUCCEEDED)
    return rows.order_by(F("finished_at").desc()).values_list("finished_at", flat=True).first()
