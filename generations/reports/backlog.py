"""How the work stands at this moment: what is live, what waits, and what needs a person. One query, over the rows that
have not ended.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from generations import lifecycle
from generations.models import Generation

Status = Generation.Status
UNCOPIED = Q(status=Status.COPYING, consecutive_failures__gt=0)


@dataclass(frozen=True)
class Backlog:
    at: datetime
    live: dict[str, int]  # by status, with every live one
    due: int  # rows that want attention now
    oldest_due_seconds: float  # how long the oldest of them has waited
    stalled: int  # rendered for longer than STALLED_AFTER
    uncopied: int  # rendered, and not stored at the first try

    @property
    def in_doubt(self) -> int:
        return self.live[Status.IN_DOUBT]

    @property
    def total(self) -> int:
        return sum(self.live.values())


def now() -> Backlog:
    at = timezone.now()
    live = Generation.objects.filter(due_at__isnull=False).order_by()  # as the schema has it, and by an index
    rows = list(
        live.annotate(since=since())
        .values("status")
        .annotate(
            rows=Count("pk"),
            due=Count("pk", filter=Q(due_at__lte=at)),
            oldest=Min("due_at"),
            stalled=Count("pk", filter=stalled(at)),
            uncopied=Count("pk", filter=UNCOPIED),
        )
    )
    oldest = min((row["oldest"] for row in rows), default=at)
    return Backlog(
        at=at,
        live={**dict.fromkeys(map(str, Generation.LIVE), 0), **{row["status"]: row["rows"] for row in rows}},
        due=sum(row["due"] for row in rows),
        oldest_due_seconds=max((at - oldest).total_seconds(), 0.0),
        stalled=sum(row["stalled"] for row in rows),
        uncopied=sum(row["uncopied"] for row in rows),
    )


def stalled(at: datetime) -> Q:
    """The rows that ops see as stalled."""
    return Q(status=Status.RUNNING, since__lt=at - lifecycle.STALLED_AFTER)


def since() -> Coalesce:
    """When the upstream took it, or was found to have taken it."""
    return Coalesce("resumed_at", "submitted_at")
