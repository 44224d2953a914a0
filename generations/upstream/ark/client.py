"""Call Ark's four operations over HTTP. The module `answers` parses the answers, `body` writes a create's body."""

from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote, urlencode

from generations.upstream import exchanges
from generations.upstream.ark import answers
from generations.upstream.errors import UpstreamError
from generations.upstream.outcomes import PollOutcome, SubmitOutcome
from generations.upstream.protocol import Account, ListedTask, ListPage

TASKS = "/contents/generations/tasks"
NO_TASK_ID = "cgt-20200101000000-aaaaa"  # in the form of an id, of a day before the API
PAGE_SIZE, MAX_PAGES = 500, 1000  # of the list; the largest page that the upstream takes
MAX_PAGE_BYTES = 8 * 1024 * 1024  # each task has two signed URLs
# Tasks of the other tier are left out unless they are asked for. The first is what the upstream takes without a filter.
TIERS: tuple[dict[str, str], ...] = ({}, {"filter.service_tier": "flex"})


def create(account: Account, content: bytes) -> SubmitOutcome:
    """Send one paid POST, and return its outcome."""
    return exchanges.submit(account, TASKS, content, answers.parse_submit, find_ids=answers.find_ids)


def get_task(account: Account, upstream_id: str) -> PollOutcome:
    """Read a task's state. Raise UpstreamError if there is no clear answer: that means "not yet"."""
    return exchanges.call(
        account,
        "GET",
        _path_of_task(upstream_id),
        lambda answer: answers.parse_task(answer, upstream_id),
        task=upstream_id,
    )


def read_task(account: Account, upstream_id: str) -> ListedTask:
    """Read what the upstream says of a task in any state. Raise UpstreamError; NoSuchTask if there is none."""
    return exchanges.call(
        account,
        "GET",
        _path_of_task(upstream_id),
        lambda answer: answers.parse_listed_task(answer, upstream_id),
        task=upstream_id,
    )


def cancel(account: Account, upstream_id: str) -> None:
    """Cancel a task that waits. Raise CancelRefused, or UpstreamError if the answer is not clear."""
    exchanges.call(account, "DELETE", _path_of_task(upstream_id), answers.check_cancelled, task=upstream_id)


def check_account(account: Account) -> datetime | None:
    """Check our key by reading a task that does not exist: this costs nothing. Raise UpstreamError."""
    return exchanges.call(account, "GET", _path_of_task(NO_TASK_ID), answers.check_unknown_task)


def list_tasks(account: Account, target: str) -> Iterator[ListPage]:
    """Yield all pages of the tasks of a model, in each tier. Raise UpstreamError if the list is not whole.

    The total of a page counts the tasks of the earlier tiers too.
    """
    earlier = 0
    for tier in TIERS:
        scan = _Scan()
        while not scan.is_complete():
            page = _read_page(account, {"filter.model": target, **tier}, scan.next_page())
            scan.add(page)
            yield ListPage(page.tasks, earlier + scan.largest_total)
        earlier += scan.seen


class _Scan:
    """The progress of a scan of the list, whose order is not documented, and which grows during the scan."""

    def __init__(self) -> None:
        self.first_total, self.largest_total, self.pages, self.seen = -1, 0, 0, 0
        self._ids: set[str] = set()

    def is_complete(self) -> bool:
        """Return whether as many tasks were seen as there are, and all that there were when the scan began.

        New tasks may push known ones to the next page, where they are seen again.
        """
        return self.pages > 0 and self.seen >= self.largest_total and len(self._ids) >= self.first_total

    def next_page(self) -> int:
        """Return the number of the next page. Raise UpstreamError if the list takes no end."""
        if self.pages >= MAX_PAGES:
            raise UpstreamError(f"the list of tasks goes on after {MAX_PAGES} pages")
        return self.pages + 1

    def add(self, page: ListPage) -> None:
        """Count the tasks of the next page. Raise UpstreamError if none is new although there are more."""
        known = len(self._ids)
        self._ids.update(task.upstream_id for task in page.tasks)
        if not self.pages:
            self.first_total = page.total
        self.pages, self.seen = self.pages + 1, self.seen + len(page.tasks)
        self.largest_total = max(self.largest_total, page.total)
        if len(self._ids) == known and not self.is_complete():
            raise UpstreamError(f"the list of tasks ended after {known} of {self.largest_total}")


def _read_page(account: Account, filters: dict[str, str], number: int) -> ListPage:
    """Read one page of the list. Raise UpstreamError."""
    query = urlencode({"page_num": number, "page_size": PAGE_SIZE, **filters})
    return exchanges.call(account, "GET", f"{TASKS}?{query}", answers.parse_page, max_bytes=MAX_PAGE_BYTES)


def _path_of_task(upstream_id: str) -> str:
    return f"{TASKS}/{quote(upstream_id, safe='')}"
