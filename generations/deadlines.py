"""The deadlines of a generation: what each one counts, and what stops its clock.

queued    From its own first refused submit. Counts the time in which submits went out. Then `upstream_unavailable`.
          Does not count: pauses of submits, ordered or not; a suspension; an outage of the bucket; the wait in line.
in_doubt  From its submit. Then `submit_unconfirmed`.
          Does not count: pauses of submits in which the upstream refused our account, or did not answer.
running   From its submit, or from the operator who found the task. Counts the time in which the upstream answered, and
          had no video. Then `upstream_gave_no_result`.
          Does not count: an outage of the upstream; a stop of the workers.
copying   From the same time. Counts the time in which the upstream, or its file host, said that there is no video.
          Then `copy_failed`. Does not count: an outage of either, or of the bucket; a stop of the workers.

Two columns hold what does not count: `outage_since`, while it lasts, and `outage_time`, what has ended. An error alone
ends nothing: a generation fails by a deadline only on an answer that counts.
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import QuerySet

from generations.models import Attempt, Generation, Pause
from tenants.db import clock

FAIL_IN_DOUBT_AFTER = timedelta(hours=24)  # the time that operators have to find out what the upstream did
GIVE_UP_AFTER = timedelta(hours=24)  # for a task that the upstream took
STOPPED_AFTER = timedelta(minutes=10)  # a step that is later by so much was late because no worker ran


def is_submit_overdue(generation: Generation) -> bool:
    """Return whether the upstream has refused the queued generation for longer than its SUBMIT_DEADLINE."""
    first = find_refused(generation).first()
    if first is None or first.finished_at is None:
        return False
    limit = timedelta(seconds=generation.tenant.submit_deadline or settings.SUBMIT_DEADLINE)
    return _counted(generation, first.finished_at) >= limit


def find_refused(generation: Generation) -> QuerySet[Attempt]:
    """Return the generation's attempts since it was queued that created no task, the first one first."""
    refused = Attempt.objects.filter(generation=generation.pk, outcome__in=["not_created", "create_failed"])
    if generation.resumed_at:
        refused = refused.filter(started_at__gte=generation.resumed_at)
    return refused.order_by("number")


def is_result_overdue(generation: Generation) -> bool:
    """Return whether the upstream has answered for GIVE_UP_AFTER without a video, for a running or copying row."""
    return _counted(generation, task_started_at(generation)) > GIVE_UP_AFTER


def task_started_at(generation: Generation) -> datetime:
    """Return when the task was submitted, or when an operator found it."""
    return generation.resumed_at or generation.submitted_at or generation.created_at


def stopped_time(generation: Generation) -> timedelta:
    """Return for how long no worker took the due step of this claimed row; 0 for the lateness of a busy worker."""
    late = clock.now() - generation.was_due if generation.was_due else timedelta(0)
    return late if late > STOPPED_AFTER else timedelta(0)


def doubt_ends_at(generation: Generation) -> datetime:
    """Return when a generation in doubt fails by itself. While the upstream is away, the time moves on."""
    assert generation.submitted_at is not None  # only a submitted generation gets in doubt
    ends = generation.submitted_at + FAIL_IN_DOUBT_AFTER + generation.outage_time
    pause = Pause.objects.filter(pk=generation.account_name).first()
    if pause and pause.refused_at:
        ends += max(pause.refused_at - max(pause.since, generation.submitted_at), timedelta(0))
    return ends


def _counted(generation: Generation, since: datetime) -> timedelta:
    """Return the time since then, without outages."""
    now = clock.now()
    ongoing = now - generation.outage_since if generation.outage_since else timedelta(0)
    return now - since - generation.outage_time - ongoing
