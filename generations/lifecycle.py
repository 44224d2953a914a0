"""The states of a generation, one function per arrow. Nothing else writes `status`, and money moves only here.

    queued -> submitting -> running -> copying -> succeeded     submitting -> queued     explicitly not created
    queued -> cancelled                                         submitting -> in_doubt   the answer was lost
    in_doubt -> running    a late answer, or ops                any live state -> failed
    in_doubt -> queued     never by itself: a late "not created", ops, or the tenant's policy

Each arrow is one UPDATE guarded by the state it starts from, and by the worker's turn; the row count is the verdict.
Its Event and its ledger entry are in the same transaction. False means: somebody else was there first.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from prometheus_client import Histogram

from generations import leases
from generations.models import Attempt, Event, Generation, InputImage, Label
from generations.telemetry import metrics
from generations.telemetry.failpoints import failpoint
from generations.webhooks import outbox
from tenants.db.engine import engine
from tenants.db.operations import Statement
from tenants.db.prepared_statements import Insert
from tenants.limits.windows import Charge
from tenants.money import ledger

log = structlog.stdlib.get_logger(__name__)

Status = Generation.Status
SENT = [Status.SUBMITTING, Status.IN_DOUBT]  # an answer to its one POST may come late, and is still taken
STALLED_AFTER = timedelta(hours=1)  # from then on ops see it as stalled, and it is polled rarely
FAIL_IN_DOUBT_AFTER = timedelta(hours=24)  # how long ops have to find out, before it fails by itself

# One statement for all that is still rendering: a poll each would be a write each.
SEEN_TYPES = ("uuid", "bigint", "timestamptz", "bigint")
PUT_OFF = """
WITH seen (id, turn, due_at, progress_percent) AS ({rows})
UPDATE generations_generation SET due_at = seen.due_at, tries = 0, progress_percent = seen.progress_percent FROM seen
 WHERE generations_generation.id = seen.id AND generations_generation.turn = seen.turn AND status = 'running'
"""

INPUTS = "SELECT id FROM generations_inputimage WHERE id IN (%s, %s) AND gone_at IS NULL ORDER BY id"

_insert_generation, _insert_label, _insert_event = map(Insert, (Generation, Label, Event))


@dataclass(frozen=True)
class StoredVideo:
    """What was verified in the bucket."""

    key: str
    size: int
    sha256: str
    codec: str
    width: int
    height: int
    fps: float
    duration: float
    poster_key: str


class InputDeleted(Exception):
    """A picture that it is to be made from was given up meanwhile."""


def prepare_inserts(generation: Generation, charges: Sequence[Charge]) -> list[Statement]:
    """Return the INSERTs of a new generation, for its admission's plan: the row, its labels, its hold and its first
    event. Whoever runs them calls `log_transition` once they are committed."""
    generation.status = Status.QUEUED
    generation.due_at = generation.created_at
    assert generation.api_key is not None
    hold = ledger.hold_statement(
        generation.api_key,
        ledger.Purchase(
            generation_id=generation.pk,
            item=f"{generation.model} {generation.resolution} {generation.duration} s",
            seconds=generation.duration,
            price_micro=generation.price_micro,
            at=generation.created_at,
            charges=charges,
        ),
    )
    labels = [_insert_label(label) for label in _labels(generation)]
    return [_insert_generation(generation), *labels, hold, _event(generation, "accepted")]


def required_inputs(image_id: int | None, last_image_id: int | None = None) -> tuple[Statement, int]:
    """Return the SELECT of input images that are still stored, and how many it has to find. While its rows are locked,
    their bytes are not given up."""
    wanted = [image_id, last_image_id]
    return Statement(INPUTS, wanted), len({pk for pk in wanted if pk is not None})


def _labels(generation: Generation) -> list[Label]:
    facts = {name: getattr(generation, name) for name in ("tenant_id", "test", "created_at")}
    return [
        Label(generation=generation, name=name, value=value, **facts) for name, value in generation.metadata.items()
    ]


def attach_image(generation: Generation, field: str, image: InputImage) -> bool:
    """The picture behind `image` or `last_image`, given as a URL, was read and lies in the bucket. Raises InputGone."""
    setattr(generation, field, image)
    with transaction.atomic():
        (sql, values), count = required_inputs(image.pk)
        if len(engine.run(engine.with_row_locks(sql), values)) != count:
            raise InputDeleted
        return update_if_claimed(generation, **{field: image})


def reschedule(generation: Generation, seconds: float, *, error: str = "", **facts: Any) -> bool:
    """Not yet: look again in `seconds`. `error` says why a try of the present step came to nothing, and counts it."""
    due_at, first = timezone.now() + timedelta(seconds=seconds), generation.consecutive_failures == 0
    with transaction.atomic():
        noted = update_if_claimed(
            generation,
            due_at=due_at,
            consecutive_failures=generation.consecutive_failures + 1 if error else 0,
            **facts,
        )
        if noted and error and first:
            Event.objects.create(generation=generation, status=generation.status, message=error)
    if noted and error:
        log.warning("a step came to nothing", action=str(generation.status), why=error, **_log_fields(generation))
    return noted


@dataclass(frozen=True)
class Progress:
    """What a poll saw of one that is not done."""

    id: UUID
    fencing_token: int
    due_at: datetime  # of the next poll
    progress_percent: int


def reschedule_many(seen: Sequence[Progress]) -> None:
    """As `reschedule`, without trouble, for many at once: it holds for each whose turn is still the poller's."""
    if not seen:
        return
    ordered = sorted(seen, key=lambda one: one.id)  # so that no two writers wait for each other
    rows = [(one.id, one.fencing_token, one.due_at, one.progress_percent) for one in ordered]
    sql, values = engine.table_of_rows(SEEN_TYPES, rows)
    engine.run(PUT_OFF.format(rows=sql), values)


def renew_lease(generation: Generation) -> bool:
    """False where the turn has gone to another worker."""
    return update_if_claimed(generation, due_at=timezone.now() + leases.COPY_LEASE)


def start_submitting(generation: Generation) -> Attempt | None:
    """Written and committed before the paid POST. None where another worker got there first."""
    now = timezone.now()
    with transaction.atomic():
        moved = _transition(
            generation, [Status.QUEUED], Status.SUBMITTING, due_at=now + leases.SUBMIT_LEASE, submitted_at=now
        )
        if not moved:
            return None
        return Attempt.objects.create(generation=generation, number=generation.attempts.count() + 1)


def mark_running(generation: Generation, attempt: Attempt, upstream_id: str, seconds: float) -> bool:
    """The upstream has created it; look at it in `seconds`. A late answer still resolves the doubt.

    It does so even where the generation waits for, or has begun, another attempt: the task that exists is the one.
    """
    due_at = timezone.now() + timedelta(seconds=seconds)
    with transaction.atomic():
        _close_attempt(attempt, "created", upstream_id)
        sources = [Status.QUEUED, *SENT]
        facts: dict[str, Any] = {"due_at": due_at, "upstream_id": upstream_id, "consecutive_failures": 0}
        if _transition(generation, sources, Status.RUNNING, fenced=False, **facts):
            return True
    log.error("a task is paid for, and its generation is over", upstream_id=upstream_id, **_log_fields(generation))
    return False


def mark_not_created(generation: Generation, attempt: Attempt, reason: str, seconds: float) -> bool:
    """The upstream has surely not created it: it waits in the queue, with its hold, for another attempt."""
    due_at = timezone.now() + timedelta(seconds=seconds)
    with transaction.atomic():
        _close_attempt(attempt, "not_created", reason)
        facts: dict[str, Any] = {"due_at": due_at, "consecutive_failures": generation.consecutive_failures + 1}
        return _transition(generation, SENT, Status.QUEUED, reason, fenced=False, sent=generation.submitted_at, **facts)


def mark_refused(generation: Generation, attempt: Attempt, reason: str, message: str) -> bool:
    """The upstream refused it for good."""
    with transaction.atomic():
        _close_attempt(attempt, "refused", f"{reason}: {message}")
        sentence = f"The upstream refused it: {reason}. {message}".strip()
        sent = generation.submitted_at
        return fail(generation, "upstream_refused", sentence, sources=SENT, fenced=False, sent=sent)


def mark_in_doubt(generation: Generation, reason: str, attempt: Attempt | None = None) -> bool:
    """The answer was lost: it may have been paid for. It is due at once, for what the tenant's policy says of it."""
    with transaction.atomic():
        for lost in [attempt] if attempt else generation.attempts.filter(finished_at=None):
            _close_attempt(lost, "in_doubt", reason)
        moved = _transition(
            generation, [Status.SUBMITTING], Status.IN_DOUBT, reason, due_at=timezone.now(), consecutive_failures=0
        )
    failpoint("doubt_recorded")
    return moved


def await_operator(generation: Generation) -> bool:
    """It waits for ops, until IN_DOUBT_HOLD after its submit."""
    assert generation.submitted_at is not None
    return update_if_claimed(generation, due_at=generation.submitted_at + FAIL_IN_DOUBT_AFTER)


def attach_task(generation: Generation, upstream_id: str, why: str) -> bool:
    """The task that its lost answer was about was found."""
    now = timezone.now()
    facts: dict[str, Any] = {"due_at": now, "resumed_at": now, "upstream_id": upstream_id, "consecutive_failures": 0}
    sent = generation.submitted_at
    return _transition(generation, [Status.IN_DOUBT], Status.RUNNING, why, fenced=False, sent=sent, **facts)


def resubmit(generation: Generation, why: str) -> bool:
    """Somebody, or the tenant's policy, answers for it that another attempt may be sent."""
    now = timezone.now()
    facts: dict[str, Any] = {"due_at": now, "resumed_at": now, "consecutive_failures": 0}
    sent = generation.submitted_at
    return _transition(generation, [Status.IN_DOUBT], Status.QUEUED, why, fenced=False, sent=sent, **facts)


def start_copying(generation: Generation, upstream_seed: int | None) -> bool:
    due_at = timezone.now() + leases.COPY_LEASE
    facts: dict[str, Any] = {
        "due_at": due_at,
        "upstream_seed": upstream_seed,
        "progress_percent": 99,
        "consecutive_failures": 0,
    }
    with transaction.atomic():
        moved = _transition(generation, [Status.RUNNING], Status.COPYING, **facts)
        if moved:
            _observe(metrics.UPSTREAM, generation.resumed_at or generation.submitted_at)
    return moved


def mark_succeeded(generation: Generation, video: StoredVideo) -> bool:
    """The bytes in the bucket were verified: what was held is spent."""
    facts = {f"video_{name}": getattr(video, name) for name in video.__dataclass_fields__ if name != "poster_key"}
    with transaction.atomic():
        moved = _finish(
            generation, [Status.COPYING], Status.SUCCEEDED, poster_key=video.poster_key, progress_percent=100, **facts
        )
        if moved:
            failpoint("finish_before_ledger")
            ledger.capture(generation.pk)
            _observe(metrics.TO_VIDEO, generation.created_at)
    failpoint("finish_committed")
    return moved


def fail(
    generation: Generation,
    code: str,
    message: str,
    *,
    sources: Sequence[Status] = Generation.LIVE,
    fenced: bool = True,
    sent: datetime | None = None,
) -> bool:
    """It ends without a video, and its hold is released."""
    why = {"error_code": code, "error_message": message}
    with transaction.atomic():
        moved = _finish(generation, sources, Status.FAILED, message, fenced=fenced, sent=sent, **why)
        if moved:
            failpoint("finish_before_ledger")
            ledger.release(generation.pk, code)
    failpoint("finish_committed")
    return moved


def cancel(generation: Generation, why: str) -> bool:
    """Only before submission: afterwards it may be paid for, and goes its way. Its hold is released."""
    with transaction.atomic():
        moved = _finish(generation, [Status.QUEUED], Status.CANCELLED, why, fenced=False)
        if moved:
            ledger.release(generation.pk, "cancelled")
        return moved


def run_now(generation: Generation, sources: Sequence[Status], why: str) -> bool:
    """It is due now and its tries begin anew; a worker that has it in hand loses its turn."""
    row = Generation.objects.filter(pk=generation.pk, status__in=sources)
    with transaction.atomic():
        if not row.update(due_at=timezone.now(), consecutive_failures=0, fencing_token=F("fencing_token") + 1):
            return False
        generation.refresh_from_db(fields=["status", "due_at", "consecutive_failures", "fencing_token"])
        _record_event(generation, why)
    return True


def delete(generation: Generation, by: str = "its caller") -> bool:
    """Nothing of it is served from now on; its bytes go next. Only after its end: the row and the ledger stay."""
    over = Generation.objects.filter(pk=generation.pk, status__in=Generation.FINISHED, deleted_at=None)
    with transaction.atomic():
        if not over.update(deleted_at=timezone.now()):
            return False
        generation.refresh_from_db(fields=["status", "deleted_at"])
        _record_event(generation, f"its video and its pictures were deleted by {by}")
    return True


def expire(generations: Sequence[Generation], why: str) -> list[Generation]:
    """Those of them whose video goes for its age, now that nothing of it is served; its bytes go next."""
    there = Generation.objects.filter(status=Status.SUCCEEDED, deleted_at=None, expired_at=None)
    with transaction.atomic():
        mine = there.filter(pk__in=[one.pk for one in generations]).select_for_update(skip_locked=True, no_key=True)
        gone = list(mine)
        Generation.objects.filter(pk__in=[one.pk for one in gone]).update(expired_at=timezone.now())
        Event.objects.bulk_create([Event(generation=one, status=one.status, message=why) for one in gone])
    return gone


def mark_purged(generation: Generation) -> None:
    """Its bytes are gone from the bucket."""
    Generation.objects.filter(pk=generation.pk, purged_at=None).update(purged_at=timezone.now())


def _finish(generation: Generation, sources: Iterable[Status], target: Status, why: str = "", **columns: Any) -> bool:
    with transaction.atomic():
        moved = _transition(generation, sources, target, why, due_at=None, finished_at=timezone.now(), **columns)
        if moved:
            ended = (metrics.mode(test=generation.test), str(target), columns.get("error_code", ""))
            transaction.on_commit(metrics.FINISHED.labels(*ended).inc)
    return moved


def _observe(histogram: Histogram, since: datetime | None) -> None:
    """The seconds since then, once what is told is committed."""
    assert since is not None
    seconds = (timezone.now() - since).total_seconds()
    transaction.on_commit(lambda: histogram.observe(seconds))


def _transition(
    generation: Generation,
    sources: Iterable[Status],
    target: Status,
    why: str = "",
    *,
    fenced: bool = True,
    sent: datetime | None = None,
    **columns: Any,
) -> bool:
    """`fenced`: only while the turn is this worker's. `sent`: only while that attempt is its newest."""
    with transaction.atomic():
        row = Generation.objects.filter(pk=generation.pk, status__in=sources)
        if fenced:
            row = row.filter(fencing_token=generation.fencing_token)
        if sent:
            row = row.filter(submitted_at=sent)
        if not row.update(status=target, **columns):
            return False
        failpoint("move_before_event")
        for name, value in {"status": target, **columns}.items():
            setattr(generation, name, value)
        _record_event(generation, why)
        outbox.publish(generation)
    return True


def update_if_claimed(generation: Generation, **columns: Any) -> bool:
    """Learn something without moving: it holds only while the turn is this worker's."""
    row = Generation.objects.filter(pk=generation.pk, fencing_token=generation.fencing_token, status=generation.status)
    if not row.update(**columns):
        return False
    for name, value in columns.items():
        setattr(generation, name, value)
    return True


def _record_event(generation: Generation, why: str) -> None:
    engine.run(*_event(generation, why))
    status = str(generation.status)
    transaction.on_commit(lambda: log_transition(generation, why, status))


def _event(generation: Generation, why: str) -> Statement:
    return _insert_event.with_values(generation_id=generation.pk, status=str(generation.status), message=why)


def log_transition(generation: Generation, why: str, status: str = Status.QUEUED) -> None:
    """The log, of a move that is committed."""
    since = int((timezone.now() - generation.created_at).total_seconds() * 1000)
    log.info("move", action=str(status), **_log_fields(generation), duration_ms=since, why=why)


def _log_fields(generation: Generation) -> dict[str, Any]:
    """As each line about a generation names it."""
    return {"tenant": generation.tenant_id, "generation": str(generation.pk), "seed": generation.seed}


def _close_attempt(attempt: Attempt, outcome: str, detail: str) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(finished_at=timezone.now(), outcome=outcome, detail=detail)
