"""Act on the result of a search for a lost answer: at most one transition, with the search's row and an event."""

from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog
from django.db import IntegrityError, transaction

from generations import lifecycle
from generations.models import AttemptSearch
from generations.ops import in_doubt
from generations.telemetry import metrics
from generations.upstream.protocol import ListedTask
from generations.worker import lost_attempts
from generations.worker.lost_attempts import Searched
from tenants.db import clock
from tenants.models import Tenant

log = structlog.stdlib.get_logger(__name__)

Outcome = AttemptSearch.Outcome
FOUND = "The task was found in the upstream's list."
CONFIRMED = "The upstream confirmed the task that it had named."
NAMED_ANOTHER = "The upstream had named a task that is not this generation's."
NOT_YET = "The upstream's list was searched for the task: it is not there yet."
BROKEN = "The upstream's list could not be read to its end. It is searched again."
UNCLEAR = "The upstream's list does not show which task is this generation's."
CAME_LATE = "an answer or a callback came during the search"
SENT_AGAIN = "The upstream's list shows that no task was created. The generation is sent again, once."


@dataclass(frozen=True)
class Record:
    """The facts of a search for its row: when it ran, and how much it read."""

    started_at: datetime
    finished_at: datetime = field(default_factory=clock.now)
    pages: int = 0
    tasks: int = 0
    is_complete: bool = False
    problem: str = ""  # why the list was not read to its end

    def broken(self, problem: str) -> "Record":
        """Return the record of a search that came to nothing after all."""
        return replace(self, is_complete=False, problem=problem)


def attach(searched: Searched, task: ListedTask, record: Record) -> bool:
    """Go on with the task. Return False if another generation has the task, or the doubt has ended otherwise."""
    detail = f"task {task.upstream_id}"
    try:
        with transaction.atomic():
            _store(searched, record, Outcome.FOUND, detail)
            _close_attempts(searched, task)
            message = FOUND if record.pages else CONFIRMED
            return lifecycle.attach_task(searched.generation, task.upstream_id, message, detail)
    except IntegrityError:
        give_to_people(searched, record, f"task {task.upstream_id} is another generation's")
        return False


def _close_attempts(searched: Searched, task: ListedTask) -> None:
    """Record which attempt made the task: the one of its reference, or else the last one."""
    attempts = searched.generation.attempts
    own = attempts.filter(reference=task.reference).first() if task.reference else None
    lifecycle.close_lost_attempt(own or searched.attempt, "found", upstream_id=task.upstream_id)


def settle_not_there(searched: Searched, record: Record) -> None:
    """Send the generation again, unless it was sent again before or its tenant wants none; then fail and release it."""
    generation, attempt = searched.generation, searched.attempt
    policy = generation.tenant.on_doubt
    was_sent_again = generation.attempts.filter(outcome="not_found").exclude(pk=attempt.pk).exists()
    with transaction.atomic():
        if not lifecycle.close_missing_attempt(attempt):
            go_on(searched, record, CAME_LATE)
            return
        _store(searched, record, Outcome.NOT_THERE)
        if policy == Tenant.OnDoubt.FAIL or was_sent_again:
            in_doubt.fail_not_submitted(generation)
        else:
            lifecycle.resubmit(generation, SENT_AGAIN)


def go_on(searched: Searched, record: Record, reason: str = "") -> None:
    """Let the generation wait for the next search."""
    outcome = Outcome.BROKEN if record.problem else Outcome.NOT_YET
    with transaction.atomic():
        detail = record.problem or reason
        _store(searched, record, outcome, detail)
        due_at = lost_attempts.next_search_at(searched.attempt, searched.lost)
        assert due_at is not None  # which only an unclear search has
        message = BROKEN if record.problem else NOT_YET
        lifecycle.record_search(searched.generation, message, _describe(record, detail), due_at)


def give_to_people(searched: Searched, record: Record, reason: str) -> None:
    """Leave the generation in doubt for people, since no list will show its task. It is due for the tenant's policy."""
    with transaction.atomic():
        _store(searched, record, Outcome.UNCLEAR, reason)
        lifecycle.record_search(searched.generation, UNCLEAR, _describe(record, reason), clock.now())


def reject_named_task(searched: Searched, record: Record, reason: str) -> None:
    """Record that the task that the answer or a callback named is not the attempt's. The search goes on."""
    with transaction.atomic():
        _store(searched, record, Outcome.NOT_YET, reason)
        lifecycle.record_search(searched.generation, NAMED_ANOTHER, reason, clock.now())


def _describe(record: Record, detail: str) -> str:
    """Return what operators read of a search in the timeline."""
    return f"{detail}; {record.tasks} tasks on {record.pages} pages" if record.pages else detail


def _store(searched: Searched, record: Record, outcome: Outcome, detail: str = "") -> None:
    """Store the record of a search; count and log it after the commit."""
    generation, attempt = searched.generation, searched.attempt
    facts = {"pages": record.pages, "tasks": record.tasks, "is_complete": record.is_complete}
    times = {"started_at": record.started_at, "finished_at": record.finished_at}
    AttemptSearch.objects.create(attempt=attempt, outcome=outcome, detail=detail, **facts, **times)

    def report() -> None:
        """Count and log the search."""
        metrics.SEARCHES.labels(attempt.account, outcome).inc()
        fields = {"generation": str(generation.pk), "tenant": generation.tenant_id, "seed": generation.seed}
        log.info("a search for a lost answer", outcome=str(outcome), why=detail, **facts, **fields)

    transaction.on_commit(report)
