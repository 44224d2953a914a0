"""The attempts whose answers were lost, with what the database knows of them, for a search at the upstream."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import F

from generations.catalog import video_models
from generations.lifecycle import LOST_OUTCOMES
from generations.models import Attempt, AttemptSearch, Generation
from generations.upstream import accounts, lost_answers
from generations.upstream.lost_answers import CLOCK_SLACK, LISTED_FOR, LostAnswer, Owners
from generations.upstream.outcomes import LABELS, Created, InDoubt, Shape, SubmitOutcome
from generations.upstream.protocol import Account, ListedTask, Wire

Outcome = AttemptSearch.Outcome
MAX_INTERVAL_SECONDS, MIN_INTERVAL_SECONDS = 60.0, 1.0  # between two searches
MAX_BACKOFF_SECONDS = 900.0  # between two searches that came to nothing
MAX_SEARCHED = 1000  # generations in one scan of a list
CONTROL_AGE = timedelta(hours=24)  # a list must show the newest task that was created there within this time


@dataclass(frozen=True)
class Searched:
    """A generation in doubt, its last attempt, and what to look for."""

    generation: Generation
    attempt: Attempt
    lost: LostAnswer


def find_place(generation: Generation, attempt: Attempt | None) -> tuple[Account, Wire] | None:
    """Return the account that may show the attempt's task, and its wire; None if nothing identifies it."""
    if attempt is None or not attempt.target or not (attempt.reference or generation.seed is not None):
        return None
    try:
        account, wire = accounts.of(generation)
    except (ImproperlyConfigured, KeyError):  # a release that no longer knows the account, or the wire
        return None
    return (account, wire) if attempt.account == account.name else None


def find_last(generation: Generation) -> Attempt | None:
    """Return the last attempt of a generation."""
    return generation.attempts.order_by("number").last()


def find_searched(generation: Generation, attempt: Attempt) -> Searched:
    """Return what to look for of an attempt. Earlier attempts at the account whose answers were lost count too."""
    earlier = generation.attempts.filter(account=attempt.account, outcome__in=LOST_OUTCOMES)
    references = {attempt.reference, *earlier.values_list("reference", flat=True)} - {""}
    model = video_models.get(generation.model)
    has_ratio = model is not None and model.size(generation.request_values) is not None  # no open one
    shape = Shape(generation.resolution, generation.aspect_ratio if has_ratio else None, generation.duration or None)
    lost = LostAnswer(
        generation_id=generation.pk,
        references=frozenset(references),
        target=attempt.target,
        seed=generation.seed,
        is_seed_drawn=generation.seed_source == Generation.SeedSource.DRAWN,
        shape=shape,
        started_at=attempt.started_at,
    )
    rivals = Attempt.objects.filter(
        account=attempt.account,
        started_at__gte=lost.started_at - 2 * CLOCK_SLACK,
        started_at__lte=lost.deadline + 2 * CLOCK_SLACK,
        target=attempt.target,
        generation__seed=generation.seed,
    )
    has_rival = generation.seed is not None and rivals.exclude(generation=generation.pk).exists()
    return Searched(generation, attempt, LostAnswer(**{**vars(lost), "has_rival": has_rival}))


def find_all_searched(account: Account, target: str, now: datetime) -> list[Searched]:
    """Return all attempts in doubt that a scan of the list may find: their creates are over, and none is unclear."""
    live = Generation.objects.filter(Generation.at_account(account.name), due_at__isnull=False, wire=account.wire)
    in_doubt = live.filter(status=Generation.Status.IN_DOUBT).select_related("tenant").order_by("submitted_at")
    found = []
    for generation in in_doubt[:MAX_SEARCHED]:
        attempt = find_last(generation)
        if attempt is None or attempt.target != target or not find_place(generation, attempt):
            continue
        searched = find_searched(generation, attempt)
        if searched.lost.deadline <= now and next_search_at(searched.attempt, searched.lost) is not None:
            found.append(searched)
    return found


def find_owners(tasks: Collection[ListedTask]) -> Owners:
    """Return the generations that the tasks, and their references, belong to."""
    ids, references = {task.upstream_id for task in tasks}, {task.reference for task in tasks} - {""}
    rows = Generation.objects.filter(upstream_id__in=ids).values_list("upstream_id", "pk")
    named: dict[str, set[UUID]] = {}
    for upstream_id, pk in Attempt.objects.filter(upstream_id__in=ids).values_list("upstream_id", "generation_id"):
        named.setdefault(upstream_id, set()).add(pk)
    by_reference = Attempt.objects.filter(reference__in=references).values_list("reference", "generation_id")
    return Owners({upstream_id: pk for upstream_id, pk in rows if upstream_id}, named, dict(by_reference))


def find_control(account: Account, target: str, now: datetime) -> str:
    """Return the newest task that the upstream surely created there of late, which a whole list shows; "" if none.

    It is old enough to be in the list: where many tasks are created, the newest is not there yet.
    """
    created = Attempt.objects.filter(
        account=account.name,
        started_at__gte=now - min(CONTROL_AGE, LISTED_FOR),
        started_at__lte=now - timedelta(seconds=lost_answers.CREATE_SECONDS) - patience(),
        target=target,
        outcome="created",
        generation__upstream_id=F("upstream_id"),
    )
    running = created.exclude(generation__status=Generation.Status.CANCELLED)  # whose record goes by itself
    return running.order_by("-started_at").values_list("upstream_id", flat=True).first() or ""


def next_search_at(attempt: Attempt, lost: LostAnswer) -> datetime | None:
    """Return when the list is read next for the attempt; None once it is known to prove nothing."""
    searches = attempt.searches.filter(pages__gt=0) | attempt.searches.filter(outcome=Outcome.BROKEN)
    last = searches.order_by("pk").last()
    if last is None:
        return lost.deadline
    if last.outcome == Outcome.UNCLEAR:
        return None
    wait = patience()
    seconds = min(max(wait.total_seconds() / 5, MIN_INTERVAL_SECONDS), MAX_INTERVAL_SECONDS)
    if last.outcome == Outcome.BROKEN:
        return last.finished_at + timedelta(seconds=min(seconds * 2 ** count_broken(attempt), MAX_BACKOFF_SECONDS))
    due_at, conclusive_at = last.started_at + timedelta(seconds=seconds), lost.deadline + wait
    return conclusive_at if last.started_at < conclusive_at < due_at else due_at


def count_broken(attempt: Attempt) -> int:
    """Return how many searches have come to nothing since one was whole, up to ten."""
    outcomes = attempt.searches.order_by("-pk").values_list("outcome", flat=True)[:10]
    count = 0
    for outcome in outcomes:
        if outcome != Outcome.BROKEN:
            break
        count += 1
    return count


def has_unread_name(attempt: Attempt) -> bool:
    """Return whether the answer or a callback names a task that was not read yet."""
    return bool(attempt.upstream_id) and not attempt.searches.filter(pages=0).exclude(outcome=Outcome.BROKEN).exists()


def weigh(attempt: Attempt, outcome: SubmitOutcome) -> SubmitOutcome:
    """Return the outcome of a submit: in doubt where its answer creates nothing, and a callback has named a task."""
    if isinstance(outcome, Created | InDoubt):
        return outcome
    named = Attempt.objects.values_list("upstream_id", flat=True).get(pk=attempt.pk)
    if not named:
        return outcome
    return InDoubt(f"the answer says {LABELS[type(outcome)]}: {outcome.reason}", named, outcome.answer)


def patience() -> timedelta:
    """Return for how long after a create's deadline its task may not be in the list yet."""
    return timedelta(seconds=settings.LOST_ANSWER_WAIT)
