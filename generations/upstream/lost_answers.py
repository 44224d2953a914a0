"""Decide which listed task, if any, is that of an attempt whose answer was lost. This knows no wire, and asks nothing.

An attempt's own reference settles it. Where a task shows none, its seed, its shape and its time may: only a seed that
the service drew by itself is as good as a name. A wrong "not there" would pay twice, so each doubt about it is unclear.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from generations import leases
from generations.upstream.outcomes import Shape
from generations.upstream.protocol import ListedTask

CREATE_SECONDS = leases.SUBMIT_START_SECONDS + leases.SUBMIT_CALL_SECONDS  # from an attempt's record to its deadline
CLOCK_SLACK = timedelta(seconds=60)  # between the upstream's clock and ours
SHOWN_AFTER = timedelta(minutes=15)  # of the end of a search: an upstream may show a seed only with the finished video
LISTED_FOR = timedelta(days=6)  # a task that is older may no longer be in the list, which has seven days


@dataclass(frozen=True)
class LostAnswer:
    """An attempt whose answer was lost, and the request that it was made from."""

    generation_id: UUID
    references: frozenset[str]  # of this attempt, and of the generation's earlier ones whose answers were lost too
    target: str
    seed: int | None
    is_seed_drawn: bool  # by this service, at random
    shape: Shape  # as it was asked for; None where the upstream chooses
    started_at: datetime
    has_rival: bool = False  # another generation with this seed was sent at that time

    @property
    def deadline(self) -> datetime:
        """Return when the create was over, whatever came of it."""
        return self.started_at + timedelta(seconds=CREATE_SECONDS)


@dataclass(frozen=True)
class Scan:
    """A scan of the list, with the tasks that may matter to the attempts."""

    began_at: datetime
    tasks: Sequence[ListedTask]  # those that may matter
    is_complete: bool
    missing: str = ""  # a task that the upstream created there lately, and that the list lacks


@dataclass(frozen=True)
class Owners:
    """The generations that tasks and references belong to."""

    of_tasks: Mapping[str, UUID] = field(default_factory=dict)  # by the generation's row
    of_named_tasks: Mapping[str, set[UUID]] = field(default_factory=dict)  # by an answer to an attempt, or a callback
    of_references: Mapping[str, UUID] = field(default_factory=dict)

    def is_others(self, task: ListedTask, lost: LostAnswer) -> bool:
        """Return whether the task belongs to another generation."""
        if self.of_tasks.get(task.upstream_id, lost.generation_id) != lost.generation_id:
            return True
        return bool(self.of_named_tasks.get(task.upstream_id, set()) - {lost.generation_id})

    def is_reference_of_another(self, task: ListedTask, lost: LostAnswer) -> bool:
        """Return whether the task has a reference that an attempt of another generation was sent with."""
        return self.of_references.get(task.reference, lost.generation_id) != lost.generation_id


@dataclass(frozen=True)
class Found:
    """The task is that of the attempt."""

    task: ListedTask


@dataclass(frozen=True)
class NotThere:
    """The upstream has surely created no task for the attempt."""


@dataclass(frozen=True)
class NotYet:
    """The search has to go on."""

    reason: str


@dataclass(frozen=True)
class Unclear:
    """The list proves nothing, and another scan will not either."""

    reason: str


Verdict = Found | NotThere | NotYet | Unclear


def is_relevant(task: ListedTask, searched: Iterable[LostAnswer]) -> bool:
    """Return whether the task can matter to one of the attempts."""
    return any(
        task.reference in lost.references
        or _is_in_window(task, lost)
        or (task.seed is not None and task.seed == lost.seed)
        for lost in searched
    )


def judge(lost: LostAnswer, scan: Scan, owners: Owners, wait: timedelta) -> Verdict:
    """Return what a scan says of an attempt. `wait` is the time after its deadline in which a task may be invisible."""
    verdict = find_by_reference(lost, scan.tasks, owners)
    if verdict is not None:
        return verdict
    candidates = [task for task in scan.tasks if is_like(task, lost, owners)]
    if scan.is_complete and len(candidates) == 1 and not why_like_is_not_enough(lost):
        return Found(candidates[0])
    if not scan.is_complete:
        return NotYet("the list was not read to its end")
    if scan.began_at < lost.deadline + wait:
        return NotYet("the task is not in the list, and it is too early to be sure")
    return next(_find_doubts(lost, scan, owners, wait), NotThere())


def find_by_reference(lost: LostAnswer, tasks: Iterable[ListedTask], owners: Owners) -> Found | Unclear | None:
    """Return the task that has a reference of the attempt; None if none has. Two of them are unclear."""
    own = {task.upstream_id: task for task in tasks if task.reference and task.reference in lost.references}
    if len(own) > 1:
        return Unclear(f"several tasks have the attempt's reference: {', '.join(sorted(own))}")
    for task in own.values():
        if owners.of_tasks.get(task.upstream_id, lost.generation_id) != lost.generation_id:
            return Unclear(f"task {task.upstream_id} has the attempt's reference, and is another generation's")
        return Found(task)
    return None


def is_like(task: ListedTask, lost: LostAnswer, owners: Owners) -> bool:
    """Return whether a task without a reference may be the attempt's, by its seed, its shape and its time."""
    return (
        not task.reference
        and not owners.is_others(task, lost)
        and task.seed is not None
        and task.seed == lost.seed
        and task.created_at is not None
        and _is_in_window(task, lost)
        and task.target in ("", lost.target)
        and all(
            shown is None or asked is None or str(shown).lower() == str(asked).lower()
            for shown, asked in (
                (task.shape.resolution, lost.shape.resolution),
                (task.shape.aspect_ratio, lost.shape.aspect_ratio),
                (task.shape.duration, lost.shape.duration),
            )
        )
    )


def why_like_is_not_enough(lost: LostAnswer) -> str:
    """Return why no task is the attempt's for its seed and shape alone; "" if one may be."""
    if not lost.is_seed_drawn:
        return "the seed is the caller's, who may have used it before"
    return "another generation with this seed was sent at that time" if lost.has_rival else ""


def _find_doubts(lost: LostAnswer, scan: Scan, owners: Owners, wait: timedelta) -> Iterator[NotYet | Unclear]:
    """Yield each reason for which a complete scan does not prove that the task is not there."""
    if scan.began_at - lost.started_at > LISTED_FOR:
        yield Unclear("the list may no longer have tasks of that time")
    if scan.missing:
        yield Unclear(f"the list lacks task {scan.missing}, which was created there: it is not the whole list")
    others = [task for task in scan.tasks if not owners.is_others(task, lost)]
    for task in others:
        if reason := _find_doubt(task, lost, owners):
            yield Unclear(f"task {task.upstream_id} {reason}")
    for task in others:
        if _is_mute(task, lost, owners):
            is_early = scan.began_at < lost.deadline + wait + SHOWN_AFTER
            yield (NotYet if is_early else Unclear)(
                f"task {task.upstream_id} shows nothing to tell it from the attempt's"
            )


def _find_doubt(task: ListedTask, lost: LostAnswer, owners: Owners) -> str:
    """Return why the task, which is not known to be the attempt's, may be; "" if it surely is not."""
    has_same_seed = lost.seed is not None and task.seed == lost.seed
    if task.reference:
        is_unknown = has_same_seed and not owners.is_reference_of_another(task, lost)
        return "has the attempt's seed, and a reference that is not known" if is_unknown else ""
    if has_same_seed:
        return f"has the attempt's seed and no reference; {why_like_is_not_enough(lost) or 'others have it too'}"
    return ""


def _is_mute(task: ListedTask, lost: LostAnswer, owners: Owners) -> bool:
    """Return whether the task shows neither a reference nor a seed by which it surely is not the attempt's.

    A reference that is not known says nothing: an upstream may show ours in another form than it was sent.
    """
    has_no_seed = lost.seed is None or task.seed is None
    return has_no_seed and not owners.is_reference_of_another(task, lost) and _is_in_window(task, lost)


def _is_in_window(task: ListedTask, lost: LostAnswer) -> bool:
    """Return whether the task may have been created by the attempt, by its time."""
    if task.created_at is None:
        return True
    return lost.started_at - CLOCK_SLACK <= task.created_at <= lost.deadline + CLOCK_SLACK
