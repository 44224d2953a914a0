"""The step of a generation in doubt: find its task, or that there is none.

First the task that the answer or a callback names is read, if one was named. Where the upstream lists its tasks, the
list is read from the create's deadline on: all attempts in doubt at the account share a scan. A task is taken only
after it was read by its id. Where there is no list, or where the list proves nothing, the tenant's policy and people
decide.
"""

from datetime import timedelta

import structlog

from generations import lifecycle
from generations.models import Generation
from generations.ops import in_doubt
from generations.upstream import list_scans, lost_answers
from generations.upstream.errors import NoSuchTask, UpstreamError
from generations.upstream.lost_answers import NotYet, Scan, Unclear
from generations.upstream.protocol import Account, ListedTask, Wire
from generations.worker import lost_attempts, search_results
from generations.worker.lost_attempts import Searched
from generations.worker.search_results import Record
from tenants.db import clock

log = structlog.stdlib.get_logger(__name__)


def search(generation: Generation) -> None:
    """Look for the task of a generation in doubt, or apply the tenant's policy where there is nothing to look in."""
    attempt = lost_attempts.find_last(generation)
    place = lost_attempts.find_place(generation, attempt)
    if attempt is None or place is None or in_doubt.is_over(generation):
        in_doubt.apply_policy(generation)
        return
    searched = lost_attempts.find_searched(generation, attempt)
    if lost_attempts.has_unread_name(attempt) and _read_named_task(searched, *place):
        return
    if not place[0].has_list:
        in_doubt.apply_policy(generation)
        return
    due_at = lost_attempts.next_search_at(attempt, searched.lost)
    if due_at is None:
        in_doubt.apply_policy(generation, may_resubmit=False)
    elif due_at > clock.now():
        lifecycle.search_later(generation, due_at)
    else:
        _search_list(searched, *place)


def _read_named_task(searched: Searched, account: Account, wire: Wire) -> bool:
    """Read the task that the answer or a callback names, and take it if it is the attempt's. Return whether it was."""
    started_at, upstream_id = clock.now(), searched.attempt.upstream_id
    try:
        task = wire.read_task(account, upstream_id)
    except NoSuchTask as error:
        problem = f"the upstream does not know task {upstream_id}, which was named: {error}"
    except UpstreamError as error:
        log.warning("a named task could not be read", generation=str(searched.generation.pk), trouble=str(error))
        return False
    else:
        problem = _why_not(searched, task, upstream_id)
    record = Record(started_at, tasks=1)
    if problem:
        search_results.reject_named_task(searched, record, problem)
        return False
    return search_results.attach(searched, task, record)


def _why_not(searched: Searched, task: ListedTask, upstream_id: str) -> str:
    """Return why a task that was read by its id is not the attempt's; "" if it is."""
    owners, lost = lost_attempts.find_owners([task]), searched.lost
    if task.upstream_id != upstream_id:
        return f"the upstream answered with another task than {upstream_id}"
    by_reference = lost_answers.find_by_reference(lost, [task], owners)
    if isinstance(by_reference, lost_answers.Found):
        return ""
    if isinstance(by_reference, Unclear):
        return by_reference.reason
    if not lost_answers.is_like(task, lost, owners):
        return f"task {upstream_id} is not this attempt's"
    return lost_answers.why_like_is_not_enough(lost)


def _search_list(searched: Searched, account: Account, wire: Wire) -> None:
    """Read the account's list once, for all attempts in doubt there, and act on what it shows of each."""
    lease = list_scans.take(account.name)
    generation, target = searched.generation, searched.attempt.target
    if not isinstance(lease, list_scans.Lease):
        lifecycle.search_later(generation, clock.now() + timedelta(seconds=lease))
        return
    retry_after = 0.0
    try:
        now = clock.now()
        every = lost_attempts.find_all_searched(account, target, now)
        control = lost_attempts.find_control(account, target, now)
        sought = [other.lost for other in every]
        result = list_scans.read(
            lease,
            wire,
            account,
            target,
            lambda task: task.upstream_id == control or lost_answers.is_relevant(task, sought),
            lambda: lifecycle.renew_lease(generation),
        )
        retry_after = result.retry_after
    finally:
        lease.release(retry_after)
    missing = "" if control in {"", *(task.upstream_id for task in result.tasks)} else control
    scan = Scan(result.began_at, result.tasks, result.is_complete, missing)
    owners = lost_attempts.find_owners(result.tasks)
    record = Record(result.began_at, result.ended_at, result.pages, result.seen, result.is_complete, result.problem)
    for other in every:
        is_due = other.generation.pk == generation.pk or (other.generation.due_at or now) <= now
        _apply(other, scan, owners, record, account, wire, is_due=is_due)


def _apply(
    searched: Searched,
    scan: Scan,
    owners: lost_answers.Owners,
    record: Record,
    account: Account,
    wire: Wire,
    *,
    is_due: bool,
) -> None:
    """Act on what a scan of the list shows of an attempt.

    A scan that broke puts off no attempt whose search was not due: each scan of newer attempts would double its wait.
    """
    verdict = lost_answers.judge(searched.lost, scan, owners, lost_attempts.patience())
    match verdict:
        case lost_answers.Found(task):
            try:
                read = wire.read_task(account, task.upstream_id)
            except UpstreamError as error:
                problem = f"task {task.upstream_id} was found, and could not be read: {error}"
                search_results.go_on(searched, record.broken(problem))
                return
            if problem := _why_not(searched, read, task.upstream_id):
                search_results.give_to_people(searched, record, problem)
            else:
                search_results.attach(searched, read, record)
        case lost_answers.NotThere() if lost_attempts.has_unread_name(searched.attempt):
            search_results.go_on(searched, record, "the task that was named could not be read yet")
        case lost_answers.NotThere():
            search_results.settle_not_there(searched, record)
        case NotYet() if record.problem and not is_due:
            return
        case NotYet(reason):
            search_results.go_on(searched, record, reason)
        case Unclear(reason):
            search_results.give_to_people(searched, record, reason)
