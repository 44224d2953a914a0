"""The states of a generation, one function for each transition. Only this module writes `status` and settles holds.

    queued -> submitting -> running -> copying -> succeeded     submitting -> queued     explicitly not created
    queued -> cancelled                                         submitting -> in_doubt   the answer was lost
    in_doubt -> running    a late answer, a search, an operator any live state -> failed
    in_doubt -> queued     a late "not created", a search that shows the same, an operator, or the tenant's policy;
                           never without one of them

Each transition is one UPDATE, guarded by the state before it and by the worker's fencing token; the row count is the
verdict. The event and the ledger entry are in the same transaction. A function returns False, or None, if another
worker or an operator changed the generation first.

Callers read `reason`, `message` and `error`, so these are sentences of ours. `detail` is for operators alone: what the
upstream, the bucket or an exception said, as `foreign_text.clean` leaves it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict
from uuid import UUID

import structlog
from django.db import IntegrityError, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When

from generations import deadlines, leases
from generations.catalog import charge_by_usage, video_models
from generations.catalog.offers import Offer
from generations.models import Attempt, AttemptSearch, Event, Generation, InputImage, Label
from generations.telemetry import metrics
from generations.telemetry.failpoints import failpoint
from generations.upstream import causes, outcomes
from generations.webhooks import outbox
from tenants import amounts, masked_urls
from tenants.db import clock
from tenants.db.engine import engine
from tenants.db.operations import Statement
from tenants.db.prepared_statements import Insert
from tenants.limits.windows import Charge
from tenants.money import ledger

log = structlog.stdlib.get_logger(__name__)

Status = Generation.Status
AWAITING_ANSWER = [Status.SUBMITTING, Status.IN_DOUBT]  # a late answer to the one POST is still accepted
SEARCHED_WITHIN = timedelta(hours=1)  # a generation in doubt that is due later waits for operators, and for no search
LOST_OUTCOMES = ["in_doubt", "not_found"]  # of attempts whose answer was lost, as far as is known
CAN_BE_GIVEN_BACK = [Status.QUEUED, Status.RUNNING, Status.COPYING, Status.IN_DOUBT]
STALLED_AFTER = timedelta(hours=1)  # from then on operators see a rendering as stalled, and it is polled rarely
MAX_CREATE_RETRIES = 3  # after answers that name the task as not created
NOT_CREATED = "The upstream did not take the generation. It is sent again later."
CREATE_FAILED = f"The upstream could not create the task, and not at {MAX_CREATE_RETRIES} more tries either."
ANSWER_LOST = "The upstream's answer was lost, or not understood: it may or may not have accepted the generation."
TASK_TAKEN = "The upstream named a task that belongs to another generation."
TASK_SHARED = "The upstream named this generation's task for another one too. The service's operators look into it."
MAX_ITEM_CHARS = 80  # of a bill's line, as the ledger's column has it
# Columns that the account of an attempt decides.
OF_THE_ACCOUNT = ("account", "wire", "offer_rate_micro", "quote_micro")
RELEASED_AT_ONCE = 1000  # of the generations that waited for a pause, in one transaction

# One UPDATE for all generations that are still rendering: one for each poll would be too many writes.
PROGRESS_TYPES = ("uuid", "bigint", "timestamptz", "bigint")
RESCHEDULE_MANY = """
WITH seen (id, turn, due_at, progress_percent) AS ({rows})
UPDATE generations_generation SET due_at = seen.due_at, tries = 0, progress_percent = seen.progress_percent FROM seen
 WHERE generations_generation.id = seen.id AND generations_generation.turn = seen.turn AND status = 'running'
"""

STORED_INPUTS = "SELECT id FROM generations_inputimage WHERE id IN (%s, %s) AND gone_at IS NULL ORDER BY id"

NO_OUTAGE: dict[str, Any] = {"outage_since": None, "outage_time": timedelta(0)}  # where another deadline begins

_insert_generation, _insert_label, _insert_event = map(Insert, (Generation, Label, Event))


@dataclass(frozen=True)
class StoredVideo:
    """A video whose bytes in the bucket were verified, with its properties."""

    key: str
    size: int
    sha256: str
    codec: str
    width: int
    height: int
    fps: float
    duration: float
    poster_key: str


class Difference(TypedDict):
    """A field in which a video differs from its request."""

    # width, height, duration, fps, frames, audio (sound tracks) or seed; resolution (lines) or aspect_ratio as reported
    field: str
    requested: float
    received: float


@dataclass(frozen=True)
class Progress:
    """The progress of a rendering generation, as a poll read it, and the time of the next poll."""

    id: UUID
    fencing_token: int
    due_at: datetime
    progress_percent: int


class InputDeleted(Exception):
    """An input image of the generation was deleted from the bucket in the meantime."""


class TaskTaken(Exception):
    """The upstream's task belongs to another generation already."""

    def __init__(self, upstream_id: str) -> None:
        super().__init__(upstream_id)
        self.upstream_id = upstream_id


def prepare_inserts(generation: Generation, charges: Sequence[Charge]) -> list[Statement]:
    """Return the INSERTs of a new generation, for the plan of its admission: row, labels, hold and first event.

    The caller calls `log_transition` after these statements are committed.
    """
    generation.status = Status.QUEUED
    generation.due_at = generation.created_at
    assert generation.api_key is not None
    hold = ledger.hold_statement(
        generation.api_key,
        ledger.Purchase(
            generation_id=generation.pk,
            item=_describe(generation),
            seconds=generation.duration,
            price_micro=generation.price_micro,
            at=generation.created_at,
            charges=charges,
        ),
    )
    labels = [_insert_label(label) for label in _build_labels(generation)]
    return [_insert_generation(generation), *labels, hold, _build_event_insert(generation, "accepted")]


def _describe(generation: Generation) -> str:
    """Return what a generation buys, as the bill names it.

    The model's id comes first, then a space: the ledger's rows hold this form, and bills add up by model with it.
    """
    model = video_models.get(generation.model)
    described = model.describe(generation.request_values) if model else f"{generation.model} {generation.duration} s"
    return described[:MAX_ITEM_CHARS]


def required_inputs(image_id: int | None, last_image_id: int | None = None) -> tuple[Statement, int]:
    """Return the SELECT of input images that are still stored, and how many rows it must find.

    While these rows are locked, the bytes of the images are not deleted.
    """
    image_ids = [image_id, last_image_id]
    return Statement(STORED_INPUTS, image_ids), len({pk for pk in image_ids if pk is not None})


def _build_labels(generation: Generation) -> list[Label]:
    """Return one unsaved label for each entry of the metadata."""
    columns = {name: getattr(generation, name) for name in ("tenant_id", "test", "created_at")}
    return [
        Label(generation=generation, name=name, value=value, **columns) for name, value in generation.metadata.items()
    ]


def attach_image(generation: Generation, field: str, image: InputImage) -> bool:
    """Set `image` or `last_image` after the image behind its URL was read and stored, and renew the lease.

    Raise InputDeleted.
    """
    setattr(generation, field, image)
    with transaction.atomic():
        (sql, values), count = required_inputs(image.pk)
        if len(engine.run(engine.with_row_locks(sql), values)) != count:
            raise InputDeleted
        return _update_if_claimed(generation, due_at=clock.now() + leases.CLAIM_LEASE, **{field: image})


def reschedule(
    generation: Generation,
    seconds: float,
    *,
    error: str = "",
    detail: str = "",
    is_outage: bool = False,
    **columns: Any,
) -> bool:
    """Make the generation due in `seconds`, without a transition.

    `error` says why the present step failed. It counts as a consecutive failure; without it the count is reset.
    `is_outage`: the bucket or the upstream is away, so no deadline counts the time from now on. Otherwise an outage of
    the generation has ended, and the failures in it count no more.
    """
    now = clock.now()
    failures = generation.consecutive_failures if is_outage else failures_without_outage(generation)
    is_first_failure = failures == 0
    due_at = now + timedelta(seconds=seconds)
    columns |= _in_outage(generation, now) if is_outage else _end_outage(generation, now)
    with transaction.atomic():
        updated = _update_if_claimed(
            generation,
            due_at=due_at,
            consecutive_failures=failures + 1 if error else 0,
            **columns,
        )
        if updated and error and is_first_failure:
            Event.objects.create(generation=generation, status=generation.status, message=error, detail=detail)
    if updated and error:
        fields = _build_log_fields(generation)
        log.warning("a step came to nothing", action=str(generation.status), why=detail or error, **fields)
    return updated


def failures_without_outage(generation: Generation) -> int:
    """Return how often in a row the step has failed by itself: what failed in an outage that goes on does not count."""
    return 0 if generation.outage_since else generation.consecutive_failures


def put_off(generation: Generation, seconds: float, reason: str = "") -> bool:
    """Let a queued generation wait for as long as its submits are held, and look again in `seconds`.

    No deadline counts the wait. Who ends it calls `release_waiting`. `reason` is for the event, written once.
    """
    now = clock.now()
    columns = {"due_at": now + timedelta(seconds=seconds), "consecutive_failures": 0, **_in_outage(generation, now)}
    with transaction.atomic():
        last = generation.events.last() if reason else None
        if not _update_if_claimed(generation, **columns):
            return False
        if last and last.message != reason:
            _record_event(generation, reason)
    return True


def release_waiting(held: Q, reason: str = "") -> int:
    """Make those generations due that waited for a pause of submits, and let their deadlines count again.

    Return how many there were. `held` is the condition for them. A generation that waits for its own next attempt
    keeps its time. Generations that are held otherwise as well wait again. With a `reason` each gets an event.
    """
    waiting = Generation.objects.filter(held, status=Status.QUEUED, outage_since__isnull=False)
    count = 0
    while True:
        now = clock.now()
        with transaction.atomic():
            rows = waiting.select_for_update(no_key=True).order_by("pk").only("pk", "status")
            released = list(rows[:RELEASED_AT_ONCE])
            Generation.objects.filter(pk__in=[generation.pk for generation in released]).update(
                due_at=Case(When(consecutive_failures=0, then=Value(now)), default=F("due_at")),
                outage_time=F("outage_time") + (Value(now) - F("outage_since")),
                outage_since=None,
            )
            if reason:
                Event.objects.bulk_create(
                    [Event(generation=generation, status=Status.QUEUED, message=reason) for generation in released]
                )
        count += len(released)
        if len(released) < RELEASED_AT_ONCE:
            return count


def extend_doubt(account: str, since: datetime, until: datetime) -> None:
    """Give operators the time in which the upstream was away, for the generations that waited for them."""
    in_doubt = Generation.objects.filter(Generation.at_account(account), status=Status.IN_DOUBT)
    for generation in in_doubt.filter(due_at__gt=clock.now(), submitted_at__lt=until).only("pk", "submitted_at"):
        assert generation.submitted_at is not None
        lost = until - max(since, generation.submitted_at)
        row = _sent_last(generation, Status.IN_DOUBT)
        row.update(outage_time=F("outage_time") + lost)
        row.filter(due_at__gt=clock.now() + SEARCHED_WITHIN).update(due_at=F("due_at") + lost)


def reschedule_many(progresses: Sequence[Progress]) -> None:
    """Reschedule many running generations in one statement.

    Rows whose fencing token has changed since they were claimed are skipped: another worker owns them. Do nothing for
    an empty list.
    """
    if not progresses:
        return
    ordered = sorted(progresses, key=lambda progress: progress.id)  # so that no two writers wait for each other
    rows = [(progress.id, progress.fencing_token, progress.due_at, progress.progress_percent) for progress in ordered]
    sql, values = engine.table_of_rows(PROGRESS_TYPES, rows)
    engine.run(RESCHEDULE_MANY.format(rows=sql), values)


def give_back(generations: Sequence[Generation]) -> None:
    """Make claimed generations due now for another worker, and refuse what this one still writes of them.

    One that is being submitted is left to its lease, since its answer may come. So are those claimed by another worker.
    """
    for generation in generations:
        row = Generation.objects.filter(pk=generation.pk, fencing_token=generation.fencing_token)
        row.filter(status__in=CAN_BE_GIVEN_BACK).update(due_at=clock.now(), fencing_token=F("fencing_token") + 1)


def renew_lease(generation: Generation) -> bool:
    """Extend the lease of a copy, a search, or a submit in preparation. Return False if another worker has it."""
    return _update_if_claimed(generation, due_at=clock.now() + leases.COPY_LEASE)


def start_submitting(
    generation: Generation,
    offer: Offer,
    reference: str,
    *,
    rate_micro: int | None = None,
    quote_micro: int | None = None,
) -> Attempt | None:
    """Record an attempt at an account, to be committed before the paid POST.

    `reference` is the attempt's unguessable id. `rate_micro` and `quote_micro` are the account's, None where they are
    not known. They hold for this attempt alone, and never above what was promised at the admission. Return None if
    another worker got there first.
    """
    now = clock.now()
    with transaction.atomic():
        started = _transition(
            generation,
            [Status.QUEUED],
            Status.SUBMITTING,
            due_at=now + leases.SUBMIT_LEASE,
            submitted_at=now,
            account=offer.account,
            wire=offer.wire,
            offer_rate_micro=_bound(rate_micro, generation.rate_micro),
            quote_micro=_bound(quote_micro, generation.price_micro),
            **_end_outage(generation, now),
        )
        if not started:
            return None
        number = generation.attempts.count() + 1
        return Attempt.objects.create(
            generation=generation,
            number=number,
            account=offer.account,
            target=offer.target,
            reference=reference,
            started_at=now,
        )


def _bound(offered: int | None, promised: int | None) -> int | None:
    """Return what an account asks, but no more than was promised; None where either is not known."""
    return None if offered is None or promised is None else min(offered, promised)


def is_being_submitted(generation: Generation) -> bool:
    """Return whether the generation still waits for the answer to its last attempt, and to no later one."""
    return _sent_last(generation, Status.SUBMITTING).exists()


def _sent_last(generation: Generation, status: Status) -> QuerySet[Generation]:
    """Return the row of the generation, if it has the status and no later attempt was sent than the one it knows."""
    return Generation.objects.filter(pk=generation.pk, status=status, submitted_at=generation.submitted_at)


def mark_running(generation: Generation, attempt: Attempt, upstream_id: str, seconds: float) -> bool:
    """Record that the upstream has created the task. The first poll is due in `seconds`.

    A late answer is accepted too, even if the generation waits for another attempt or has begun that attempt: the task
    exists and is paid for. The row then names this attempt's account again, as `start_submitting` set it for the
    caller's `generation`. Raise TaskTaken, and change nothing, if another generation has this task.
    """
    due_at = clock.now() + timedelta(seconds=seconds)
    sources = [Status.QUEUED, *AWAITING_ANSWER]
    columns: dict[str, Any] = {"due_at": due_at, "upstream_id": upstream_id, "consecutive_failures": 0, **NO_OUTAGE}
    if attempt.account == generation.account:
        columns |= {name: getattr(generation, name) for name in OF_THE_ACCOUNT}
    try:
        with transaction.atomic():
            _close_attempt(attempt, "created", upstream_id, upstream_id=upstream_id)
            if _transition(generation, sources, Status.RUNNING, fenced=False, **columns):
                return True
    except IntegrityError as error:
        if _find_owner(generation, upstream_id) is None:
            raise
        raise TaskTaken(upstream_id) from error
    if Generation.objects.filter(pk=generation.pk, upstream_id=upstream_id).exists():
        return False  # a search found the task before
    log.error(
        "a task is paid for, and its generation is over", upstream_id=upstream_id, **_build_log_fields(generation)
    )
    return False


def mark_task_taken(generation: Generation, attempt: Attempt, upstream_id: str) -> bool:
    """Record that the answer to the POST named another generation's task: whether one was created is unknown.

    The generation is in doubt, and the events of both generations name the other one.
    """
    with transaction.atomic():
        owner = _find_owner(generation, upstream_id)
        detail = f"task {upstream_id} belongs to generation {owner}"
        changed = mark_in_doubt(generation, TASK_TAKEN, attempt, detail=detail, upstream_id=upstream_id)
        if owner:
            _record_event(owner, TASK_SHARED, f"task {upstream_id} was named for generation {generation} too")
    log.error("a task was named for two generations", owner=str(owner), **_build_log_fields(generation))
    return changed


def _find_owner(generation: Generation, upstream_id: str) -> Generation | None:
    """Return another generation than this one that has the upstream's task; None if there is none."""
    return Generation.objects.filter(upstream_id=upstream_id).exclude(pk=generation.pk).first()


def mark_create_failed(
    generation: Generation, attempt: Attempt, reason: str, seconds: float, *, answer: str = ""
) -> bool:
    """Record that a step of the upstream's own failed before the task was created.

    The next attempt is due in `seconds`, but after MAX_CREATE_RETRIES the generation fails.
    """
    with transaction.atomic():
        _close_attempt(attempt, "create_failed", reason, answer=answer)
        if generation.attempts.filter(outcome="create_failed").count() > MAX_CREATE_RETRIES:
            sent = generation.submitted_at
            return fail(
                generation,
                "upstream_refused",
                CREATE_FAILED,
                detail=reason,
                sources=AWAITING_ANSWER,
                fenced=False,
                last_submitted_at=sent,
            )
        return _requeue(generation, reason, seconds)


def mark_not_created(
    generation: Generation,
    attempt: Attempt,
    reason: str,
    seconds: float,
    *,
    answer: str = "",
    outcome: str = "not_created",
) -> bool:
    """Record that the upstream has certainly not created the task. The next attempt is due in `seconds`.

    The generation returns to the queue and keeps its hold. Submits pause from now on. `reason` and the start of the
    `answer` are for operators. Only attempts with the default `outcome` count for the submit deadline.
    """
    with transaction.atomic():
        _close_attempt(attempt, outcome, reason, answer=answer)
        return _requeue(generation, reason, seconds)


def _requeue(generation: Generation, detail: str, seconds: float) -> bool:
    """Return the generation to the queue, with its hold. The next attempt is due in `seconds`."""
    now = clock.now()
    columns: dict[str, Any] = {"due_at": now + timedelta(seconds=seconds), **_in_outage(generation, now)}
    columns["consecutive_failures"] = generation.consecutive_failures + 1
    if deadlines.find_refused(generation).count() == 1:  # the deadline counts from this one
        columns["outage_time"] = timedelta(0)
    return _transition(
        generation,
        AWAITING_ANSWER,
        Status.QUEUED,
        NOT_CREATED,
        detail,
        fenced=False,
        last_submitted_at=generation.submitted_at,
        **columns,
    )


def mark_not_sent(generation: Generation, attempt: Attempt, reason: str) -> bool:
    """Return a generation to the queue whose attempt was recorded, but held before a byte was sent.

    That ends a doubt too, which another worker has recorded while this one stood still.
    """
    with transaction.atomic():
        _close_attempt(attempt, "not_sent", reason)
        sent, due_at = generation.submitted_at, clock.now()
        sources = AWAITING_ANSWER
        return _transition(
            generation, sources, Status.QUEUED, reason, fenced=False, last_submitted_at=sent, due_at=due_at
        )


def mark_refused(generation: Generation, attempt: Attempt, refusal: outcomes.Refused) -> bool:
    """Record that the upstream has refused the request for good, and fail the generation.

    Callers read the upstream's words only if these are about the content of the request, and have no cause of ours.
    """
    words = f"{refusal.reason}: {refusal.message}"
    text = causes.REFUSED.get(refusal.cause, "The upstream refused it.")
    is_shown = refusal.is_about_content and not refusal.cause
    if is_shown:
        text = f"The upstream refused it: {refusal.reason}. {refusal.message}".strip()
    with transaction.atomic():
        _close_attempt(attempt, "refused", words, answer=refusal.answer)
        return fail(
            generation,
            refusal.cause or "upstream_refused",
            text,
            detail="" if is_shown else words,
            sources=AWAITING_ANSWER,
            fenced=False,
            last_submitted_at=generation.submitted_at,
        )


def mark_in_doubt(
    generation: Generation,
    reason: str,
    attempt: Attempt | None = None,
    *,
    detail: str = "",
    upstream_id: str = "",
    answer: str = "",
) -> bool:
    """Record that the answer to the POST was lost: the task may have been paid for.

    Without `attempt` all open attempts are closed. The generation is due at once for a search, or the tenant's policy.
    `upstream_id` is the task that the `answer` names, if it names one. Without one, that of a callback stays.
    """
    columns: dict[str, Any] = {"due_at": clock.now(), "consecutive_failures": 0, **NO_OUTAGE}
    facts = {"answer": answer, **({"upstream_id": upstream_id} if upstream_id else {})}
    with transaction.atomic():
        for lost in [attempt] if attempt else generation.attempts.filter(finished_at=None):
            _close_attempt(lost, "in_doubt", detail or reason, **facts)
        changed = _transition(generation, [Status.SUBMITTING], Status.IN_DOUBT, reason, detail, **columns)
    failpoint("doubt_recorded")
    return changed


def await_operator(generation: Generation) -> bool:
    """Leave the generation in doubt for an operator, until its deadline."""
    return _update_if_claimed(generation, due_at=deadlines.doubt_ends_at(generation))


def search_later(generation: Generation, due_at: datetime) -> bool:
    """Let a generation in doubt, which this worker has claimed, wait for the next search; at most for its deadline."""
    return _update_if_claimed(generation, due_at=min(due_at, deadlines.doubt_ends_at(generation)))


def record_search(generation: Generation, message: str, detail: str, due_at: datetime) -> bool:
    """Record a search that has not ended the doubt, and when the next step is due. The claim does not matter.

    Return False if the generation is no longer in doubt, or a later attempt was sent.
    """
    with transaction.atomic():
        row = _sent_last(generation, Status.IN_DOUBT)
        if not row.update(due_at=min(due_at, deadlines.doubt_ends_at(generation))):
            return False
        _record_event(generation, message, detail)
    return True


def close_lost_attempt(attempt: Attempt, outcome: str, **columns: str) -> None:
    """Record what a search showed of an attempt in doubt: "found" or "not_found". A late answer to it stays."""
    Attempt.objects.filter(pk=attempt.pk, outcome__in=LOST_OUTCOMES).update(outcome=outcome, **columns)


def close_missing_attempt(attempt: Attempt) -> bool:
    """Record that a search has shown an attempt in doubt to have no task.

    Return False, and change nothing, if an answer or a callback has said something else since the attempt was read.
    """
    row = Attempt.objects.filter(pk=attempt.pk, outcome=attempt.outcome, upstream_id=attempt.upstream_id)
    return row.update(outcome="not_found") > 0


def note_named_task(attempt: Attempt, upstream_id: str) -> bool:
    """Store the task that a callback names for an attempt, unless one is known, and make the next step due.

    A callback proves nothing: the step asks the upstream. Return False if there is nothing to do.
    """
    generation = Generation.objects.filter(pk=attempt.generation_id, upstream_id__in=[upstream_id])
    if generation.filter(status=Status.RUNNING).update(due_at=clock.now()):
        return True
    open_attempt = Attempt.objects.filter(pk=attempt.pk, outcome__in=["", "in_doubt"], upstream_id="")
    if not open_attempt.update(upstream_id=upstream_id):
        if attempt.outcome == "not_found":
            log.error(
                "a task is named for an attempt that had created none", upstream_id=upstream_id, attempt=attempt.pk
            )
        return False
    in_doubt = Generation.objects.filter(pk=attempt.generation_id, status=Status.IN_DOUBT)
    return bool(in_doubt.update(due_at=clock.now()))


def attach_task(generation: Generation, upstream_id: str, reason: str, detail: str = "") -> bool:
    """Continue a generation in doubt with the task that a search or an operator found at the upstream."""
    now = clock.now()
    columns: dict[str, Any] = {"due_at": now, "resumed_at": now, "upstream_id": upstream_id, "consecutive_failures": 0}
    columns |= NO_OUTAGE
    return _resolve_in_doubt(generation, Status.RUNNING, reason, columns, detail)


def resubmit(generation: Generation, reason: str, detail: str = "") -> bool:
    """Queue a generation in doubt for another attempt.

    A search has shown that there is no task; or an operator, or the tenant's policy, accepts a double cost.
    """
    now = clock.now()
    columns: dict[str, Any] = {"due_at": now, "resumed_at": now, "consecutive_failures": 0, **NO_OUTAGE}
    return _resolve_in_doubt(generation, Status.QUEUED, reason, columns, detail)


def start_copying(generation: Generation, rendered: outcomes.Rendered) -> bool:
    """Record that the upstream has rendered the video, and take the lease of the copy."""
    columns: dict[str, Any] = {
        **_end_outage(generation, clock.now()),
        "due_at": clock.now() + leases.COPY_LEASE,
        "upstream_seed": rendered.seed,
        "upstream_tokens": rendered.tokens,
        "upstream_shape": _shape_as_json(rendered.shape),
        "progress_percent": 99,
        "consecutive_failures": 0,
    }
    with transaction.atomic():
        started = _transition(generation, [Status.RUNNING], Status.COPYING, "", rendered.odd, **columns)
        if started:
            metrics.observe_on_commit(metrics.UPSTREAM, generation.resumed_at or generation.submitted_at)
    return started


def record_report(generation: Generation, rendered: outcomes.Rendered) -> bool:
    """Store the tokens and the shape that a later answer about the task reports. The first report of each stays.

    Return False if another worker has claimed the generation.
    """
    columns: dict[str, Any] = {}
    if generation.upstream_tokens is None and rendered.tokens is not None:
        columns["upstream_tokens"] = rendered.tokens
    if not generation.upstream_shape and (shape := _shape_as_json(rendered.shape)):
        columns["upstream_shape"] = shape
    return not columns or _update_if_claimed(generation, **columns)


def _shape_as_json(shape: outcomes.Shape) -> dict[str, str | int]:
    """Return what the upstream reports of a video's shape, as the column holds it."""
    return {name: value for name, value in asdict(shape).items() if value is not None}


def mark_succeeded(generation: Generation, video: StoredVideo, differences: Sequence[Difference] = ()) -> bool:
    """Record that the video is stored and verified, and capture the hold: all of it, or what the video has cost.

    `differences` from the request are small: the video is delivered with them.
    """
    settled = charge_by_usage.settle(generation)
    reasons = [f"the video is not as requested: {describe(differences)}"] if differences else []
    reasons += [settled.message] if settled and settled.message else []
    account = _account_of(generation)
    with transaction.atomic():
        finished = _finish(
            generation,
            [Status.COPYING],
            Status.SUCCEEDED,
            "; ".join(reasons),
            progress_percent=100,
            charged_micro=settled.charged_micro if settled else None,
            **_video_columns(video, differences),
        )
        if finished:
            failpoint("finish_before_ledger")
            if settled:
                ledger.capture(generation.pk, settled.charged_micro, settled.reason, account=account)
                _report_on_commit(generation, settled)
            else:
                ledger.capture(generation.pk, account=account)
            to_video = metrics.TO_VIDEO.labels(video_models.label(generation.model))
            metrics.observe_on_commit(to_video, generation.created_at)
            _count_on_commit(generation, differences)
    failpoint("finish_committed")
    return finished


def mark_mismatched(generation: Generation, video: StoredVideo, differences: Sequence[Difference]) -> bool:
    """Record that the stored video is far from what was requested, and release the hold.

    The video is never delivered. Its file stays for operators, until it is pruned.
    """
    message = f"The upstream made another video than was requested: {describe(differences)}. It is not delivered."
    columns = _video_columns(video, differences)
    finished = fail(generation, "video_mismatch", message, sources=[Status.COPYING], **columns)
    if finished:
        _count_on_commit(generation, differences)
    return finished


def describe(differences: Sequence[Difference]) -> str:
    """Return the differences of a video in words."""
    return ", ".join(f"{item['field']} {item['received']} instead of {item['requested']}" for item in differences)


def _video_columns(video: StoredVideo, differences: Sequence[Difference]) -> dict[str, Any]:
    """Return the columns of a stored video."""
    columns = {f"video_{name}": getattr(video, name) for name in video.__dataclass_fields__ if name != "poster_key"}
    compared = {"video_as_requested": not differences, "video_differences": list(differences)}
    return {**columns, **compared, "poster_key": video.poster_key}


def _count_on_commit(generation: Generation, differences: Sequence[Difference]) -> None:
    """Count in the metrics, after the commit, the fields in which a video differs."""
    mode = metrics.mode(test=generation.test)
    for item in differences:
        transaction.on_commit(metrics.VIDEO_DIFFERENCES.labels(mode, item["field"]).inc)


def _report_on_commit(generation: Generation, settled: charge_by_usage.Settlement) -> None:
    """Count, after the commit, how the charge compares with the hold, and log what finance has to know."""
    labels = metrics.mode(test=generation.test), video_models.label(generation.model), settled.outcome
    transaction.on_commit(metrics.SETTLED.labels(*labels, _account_of(generation)).inc)
    fields = {
        "model": generation.model,
        "tokens": generation.upstream_tokens,
        "held_usd": amounts.format_usd(generation.price_micro),
        "charged_usd": amounts.format_usd(settled.charged_micro),
        **_build_log_fields(generation),
    }
    if settled.outcome == charge_by_usage.ABOVE:
        transaction.on_commit(lambda: log.warning("a video cost more than was held", **fields))
    elif settled.outcome == charge_by_usage.NOT_REPORTED:
        transaction.on_commit(lambda: log.warning("the upstream reported no usage", **fields))


def fail(
    generation: Generation,
    code: str,
    message: str,
    *,
    detail: str = "",
    sources: Sequence[Status] = Generation.LIVE,
    fenced: bool = True,
    last_submitted_at: datetime | None = None,
    **columns: Any,
) -> bool:
    """End the generation without a video, and release the hold. For `fenced` and the rest see `_transition`."""
    columns |= {"error_code": code, "error_message": message, "fenced": fenced}
    with transaction.atomic():
        finished = _finish(
            generation, sources, Status.FAILED, message, detail, last_submitted_at=last_submitted_at, **columns
        )
        if finished:
            failpoint("finish_before_ledger")
            ledger.release(generation.pk, code, account=_account_of(generation))
    failpoint("finish_committed")
    return finished


def cancel(generation: Generation, reason: str) -> bool:
    """Cancel a queued generation and release the hold. Return False after the submit: it may be paid for by then."""
    with transaction.atomic():
        finished = _finish(generation, [Status.QUEUED], Status.CANCELLED, reason, fenced=False)
        if finished:
            ledger.release(generation.pk, "cancelled", account=_account_of(generation))
        return finished


def mark_cancelled(generation: Generation, reason: str, detail: str = "", *, fenced: bool = True) -> bool:
    """Record that the upstream has cancelled the task before it began, and release the hold: nothing was paid.

    Return False if the generation is no longer running, or for `fenced` if another worker has claimed it.
    """
    with transaction.atomic():
        finished = _finish(generation, [Status.RUNNING], Status.CANCELLED, reason, detail, fenced=fenced)
        if finished:
            ledger.release(generation.pk, "cancelled", account=_account_of(generation))
        return finished


def run_now(generation: Generation, sources: Sequence[Status], reason: str) -> bool:
    """Make the next step due now and reset the consecutive failures.

    A worker that is at work on the generation loses its claim. Return False if the status is not in `sources`.
    """
    row = Generation.objects.filter(pk=generation.pk, status__in=sources)
    with transaction.atomic():
        columns = {"consecutive_failures": 0, "unusable_files": 0, "fencing_token": F("fencing_token") + 1}
        if not row.update(due_at=clock.now(), **columns):
            return False
        generation.refresh_from_db(fields=["status", "due_at", "consecutive_failures", "fencing_token"])
        _record_event(generation, reason)
    return True


def delete(generation: Generation, by: str = "the caller") -> bool:
    """Stop serving a finished generation, and forget the caller's words; its bytes are deleted next.

    The row stays with its seed, price and times, and so do the ledger and the idempotency key: a late repeat of the
    create must not be paid for. `by` names the actor, for the event. Return False if the generation is unfinished or
    already deleted.
    """
    row = Generation.objects.filter(pk=generation.pk, status__in=Generation.FINISHED, deleted_at=None)
    with transaction.atomic():
        if not row.update(deleted_at=clock.now(), purged_at=None):
            return False
        generation.refresh_from_db(fields=["status", "deleted_at", "error_code", "image", "parameters"])
        _forget_words(generation)
        _record_event(generation, f"the video and the input images were deleted by {by}")
    return True


def _forget_words(generation: Generation) -> None:
    """Delete what the caller wrote, and what others wrote about it, from every row of a deleted generation."""
    # Of a URL that was never read, the host stays.
    image_url = "" if generation.image_id else masked_urls.host_only(generation.image_url)
    words = dict.fromkeys(("prompt", "external_id", "webhook_url", "last_image_url", "traceparent"), "")
    words |= {"image_url": image_url, "error_message": outbox.FORGOTTEN if generation.error_code else ""}
    columns = {**words, "metadata": {}, "parameters": _without_texts(generation)}
    Generation.objects.filter(pk=generation.pk).update(**columns)
    for name, value in columns.items():
        setattr(generation, name, value)
    Label.objects.filter(generation=generation).delete()
    Attempt.objects.filter(generation=generation).update(detail="", answer="")
    AttemptSearch.objects.filter(attempt__generation=generation).update(detail="")
    events = Event.objects.filter(generation=generation)
    events.update(detail="")
    events.filter(status=Status.FAILED).update(message=outbox.FORGOTTEN)
    outbox.forget_words(generation)


def _without_texts(generation: Generation) -> dict[str, Any]:
    """Return the model's other fields with empty texts. A choice of the model's own stays: it may decide the price."""
    model = video_models.get(generation.model)
    choices = {name for name, field in model.fields.items() if field.is_enum} if model else set[str]()
    parameters = generation.parameters.items()
    return {name: "" if isinstance(value, str) and name not in choices else value for name, value in parameters}


def expire(generations: Sequence[Generation], reason: str) -> list[Generation]:
    """Stop serving the videos of old generations. Return the generations whose bytes the caller now deletes.

    Generations that are deleted or expired already, or locked by another worker, are left out.
    """
    served = Generation.objects.filter(status=Status.SUCCEEDED, deleted_at=None, expired_at=None)
    with transaction.atomic():
        rows = served.filter(pk__in=[generation.pk for generation in generations])
        expired = list(rows.select_for_update(skip_locked=True, no_key=True))
        Generation.objects.filter(pk__in=[generation.pk for generation in expired]).update(expired_at=clock.now())
        Event.objects.bulk_create(
            [Event(generation=generation, status=generation.status, message=reason) for generation in expired]
        )
    return expired


def forget_mismatched_files(generations: Sequence[Generation]) -> None:
    """Record that the files of these failed generations are deleted next: operators no longer see them."""
    rows = Generation.objects.filter(pk__in=[generation.pk for generation in generations], status=Status.FAILED)
    rows.filter(purged_at=None).update(purged_at=clock.now())


def mark_purged(generation: Generation) -> None:
    """Record that the generation's bytes were deleted from the bucket."""
    Generation.objects.filter(pk=generation.pk, purged_at=None).update(purged_at=clock.now())


def _account_of(generation: Generation) -> str:
    """Return the account that the last attempt went to; "" if there was no attempt."""
    return generation.account_name if generation.submitted_at else ""


def _resolve_in_doubt(
    generation: Generation, target: Status, reason: str, columns: dict[str, Any], detail: str = ""
) -> bool:
    """Move a generation in doubt to `target`, unless a later attempt was sent. The worker's claim does not matter."""
    sent, sources = generation.submitted_at, [Status.IN_DOUBT]
    return _transition(generation, sources, target, reason, detail, fenced=False, last_submitted_at=sent, **columns)


def _finish(
    generation: Generation,
    sources: Iterable[Status],
    target: Status,
    reason: str = "",
    detail: str = "",
    **columns: Any,
) -> bool:
    """Move the generation to a final status and count it in the metrics after the commit."""
    ends: dict[str, Any] = {"due_at": None, "finished_at": clock.now()}
    with transaction.atomic():
        finished = _transition(generation, sources, target, reason, detail, **ends, **columns)
        if finished:
            mode, model = metrics.mode(test=generation.test), video_models.label(generation.model)
            labels = (mode, str(target), columns.get("error_code", ""), model, _account_of(generation))
            transaction.on_commit(metrics.FINISHED.labels(*labels).inc)
    return finished


def _transition(
    generation: Generation,
    sources: Iterable[Status],
    target: Status,
    reason: str = "",
    detail: str = "",
    *,
    fenced: bool = True,
    last_submitted_at: datetime | None = None,
    **columns: Any,
) -> bool:
    """Change the status, if it is in `sources`, to `target`; store and publish the event. Return False if not changed.

    `fenced`: only if the generation is still claimed by this worker. `last_submitted_at`: only if the attempt of that
    time is the newest.
    """
    with transaction.atomic():
        row = Generation.objects.filter(pk=generation.pk, status__in=sources)
        if fenced:
            row = row.filter(fencing_token=generation.fencing_token)
        if last_submitted_at:
            row = row.filter(submitted_at=last_submitted_at)
        if not row.update(status=target, **columns):
            return False
        failpoint("move_before_event")
        for name, value in {"status": target, **columns}.items():
            setattr(generation, name, value)
        _record_event(generation, reason, detail)
        outbox.publish(generation)
    return True


def _in_outage(generation: Generation, now: datetime) -> dict[str, Any]:
    """Return the columns by which the generation's outage lasts, or begins."""
    return {"outage_since": generation.outage_since or now, "outage_time": generation.outage_time}


def _end_outage(generation: Generation, now: datetime) -> dict[str, Any]:
    """Return the columns that end the generation's outage; none if it has none.

    An outage is also the time in which no worker ran.
    """
    lost = deadlines.stopped_time(generation)
    if generation.outage_since:
        lost = now - generation.outage_since
    return {"outage_since": None, "outage_time": generation.outage_time + lost} if lost else {}


def _update_if_claimed(generation: Generation, **columns: Any) -> bool:
    """Set columns without a transition. Return False if the generation is no longer claimed by this worker."""
    row = Generation.objects.filter(pk=generation.pk, fencing_token=generation.fencing_token, status=generation.status)
    if not row.update(**columns):
        return False
    for name, value in columns.items():
        setattr(generation, name, value)
    return True


def _record_event(generation: Generation, reason: str, detail: str = "") -> None:
    """Store the event now, and write the log entry after the commit."""
    engine.run(*_build_event_insert(generation, reason, detail))
    status = str(generation.status)
    transaction.on_commit(lambda: log_transition(generation, detail or reason, status))


def _build_event_insert(generation: Generation, reason: str, detail: str = "") -> Statement:
    """Return the INSERT of an event with the generation's present status."""
    status = str(generation.status)
    return _insert_event.with_values(generation_id=generation.pk, status=status, message=reason, detail=detail)


def log_transition(generation: Generation, reason: str, status: str = Status.QUEUED) -> None:
    """Write the log entry of a transition that is committed."""
    since = int((clock.now() - generation.created_at).total_seconds() * 1000)
    log.info("move", action=str(status), **_build_log_fields(generation), duration_ms=since, why=reason)


def _build_log_fields(generation: Generation) -> dict[str, Any]:
    """Return the fields by which each log entry names the generation."""
    return {"tenant": generation.tenant_id, "generation": str(generation.pk), "seed": generation.seed}


def _close_attempt(attempt: Attempt, outcome: str, detail: str, **columns: str) -> None:
    """Record the end of an attempt. That its answer was lost is no news once a search has ended that doubt."""
    row = Attempt.objects.filter(pk=attempt.pk)
    if outcome == "in_doubt":
        row = row.exclude(outcome__in=["found", "not_found"])
    row.update(finished_at=clock.now(), outcome=outcome, detail=detail, **columns)
