"""The work in progress at this moment: how much there is, how much is due, and what needs an operator.

One query reads it, over the rows that have not finished.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q
from django.db.models.functions import Coalesce

from generations import lifecycle
from generations.models import Generation
from tenants.db import clock

Status = Generation.Status
COPY_RETRYING = Q(status=Status.COPYING, consecutive_failures__gt=0)  # rendered, but the first copy failed


@dataclass(frozen=True)
class Backlog:
    """The numbers of generations in progress, all read at the time `at`."""

    at: datetime
    live: dict[str, int]  # generations by status; every status in progress is a key
    due: int  # rows that need work now
    oldest_due_seconds: float  # how long the oldest due row has waited
    stalled: int  # rendering for longer than STALLED_AFTER
    copy_retrying: int  # rendered, but the first copy failed
    copy_waiting: int  # rendered, and no thread is free for the copy

    @property
    def in_doubt(self) -> int:
        """Return the number of generations whose submit has an unknown outcome."""
        return self.live[Status.IN_DOUBT]

    @property
    def total(self) -> int:
        """Return the number of generations in progress."""
        return sum(self.live.values())


def read() -> Backlog:
    """Read the backlog as of now, by one query."""
    at = clock.now()
    live = Generation.objects.filter(due_at__isnull=False).order_by()  # a partial index holds exactly these rows
    rows = list(
        live.annotate(rendering_since=rendering_since())
        .values("status")
        .annotate(
            rows=Count("pk"),
            due=Count("pk", filter=Q(due_at__lte=at)),
            oldest=Min("due_at"),
            stalled=Count("pk", filter=stalled_condition(at)),
            copy_retrying=Count("pk", filter=COPY_RETRYING),
            copy_waiting=Count("pk", filter=copy_waiting_condition(at)),
        )
    )
    oldest = min((row["oldest"] for row in rows), default=at)
    return Backlog(
        at=at,
        live={**dict.fromkeys(map(str, Generation.LIVE), 0), **{row["status"]: row["rows"] for row in rows}},
        due=sum(row["due"] for row in rows),
        oldest_due_seconds=max((at - oldest).total_seconds(), 0.0),
        stalled=sum(row["stalled"] for row in rows),
        copy_retrying=sum(row["copy_retrying"] for row in rows),
        copy_waiting=sum(row["copy_waiting"] for row in rows),
    )


def copy_waiting_condition(at: datetime) -> Q:
    """Return the condition for rendered rows that wait for a thread that copies, at the time `at`."""
    return Q(status=Status.COPYING, due_at__lte=at)


def stalled_condition(at: datetime) -> Q:
    """Return the condition for rows that are stalled at the time `at`.

    The query must be annotated with `rendering_since=rendering_since()`.
    """
    return Q(status=Status.RUNNING, rendering_since__lt=at - lifecycle.STALLED_AFTER)


def rendering_since() -> Coalesce:
    """Return the expression for the time since which the upstream renders a generation.

    That is the submit, or the later time at which a generation in doubt was found at the upstream.
    """
    return Coalesce("resumed_at", "submitted_at")
