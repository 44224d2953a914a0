"""Novita's asynchronous API: a route for each model, and Task Result. It neither lists nor cancels tasks.

The module `answers` parses the answers, `books` reads balance and bills, `liveness` asks whether routes live.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from urllib.parse import urlencode

import msgspec
from django.conf import settings

from generations.catalog import wire_body
from generations.outbound import http_dates
from generations.upstream import exchanges
from generations.upstream.answers import Answer
from generations.upstream.errors import UpstreamError
from generations.upstream.novita import answers, books, liveness
from generations.upstream.outcomes import PollOutcome, SubmitOutcome
from generations.upstream.protocol import (
    Account,
    Balance,
    BilledHour,
    CancelRefused,
    ListedTask,
    ListPage,
    Probe,
    TaskRequest,
)

NAME = "novita-async"
NO_TASK_ID = "00000000-0000-0000-0000-000000000000"  # the id of no task at all


class NovitaWire:
    """The wire of Novita's own models."""

    name = NAME
    can_cancel = False

    def accounts(self) -> tuple[Account, ...]:
        """Return Novita's account and the sandbox."""
        return (
            Account(
                "novita",
                NAME,
                settings.NOVITA_BASE_URL,
                settings.NOVITA_API_KEY,
                key_setting="NOVITA_API_KEY",
                url_setting="NOVITA_BASE_URL",
                has_books=settings.NOVITA_BILLS,
                submits_per_minute=settings.UPSTREAM_RPM,
                max_unfinished=settings.UPSTREAM_CONCURRENCY,
            ),
            Account(
                "sandbox",
                NAME,
                settings.SANDBOX_BASE_URL,
                settings.SANDBOX_API_KEY,
                key_setting="SANDBOX_API_KEY",
                url_setting="SANDBOX_BASE_URL",
            ),
        )

    def encode(self, request: TaskRequest) -> bytes:
        """Return the body of the submit. Raise StorageError if an image can not be read."""
        return msgspec.json.encode(wire_body.build(request.model, request.values, request.write_image))

    def submit(self, account: Account, target: str, content: bytes) -> SubmitOutcome:
        """Send one paid POST to the model's route, and return its outcome."""
        return exchanges.submit(account, target, content, answers.parse_submit)

    def get(self, account: Account, upstream_id: str) -> PollOutcome:
        """Read a task's state. Raise UpstreamError if there is no clear answer: that means "not yet"."""
        path = _path_of_task(upstream_id)
        return exchanges.call(
            account, "GET", path, lambda answer: answers.parse_task(answer, upstream_id), task=upstream_id
        )

    def read_task(self, account: Account, upstream_id: str) -> ListedTask:
        """Raise UpstreamError: what a Task Result says of a task identifies no attempt."""
        raise UpstreamError("Task Result does not say which request a task was made from")

    def list_tasks(self, account: Account, target: str) -> Iterator[ListPage]:
        """Raise UpstreamError: there is no list of tasks on this wire."""
        raise UpstreamError("the upstream lists no tasks")

    def cancel(self, account: Account, upstream_id: str) -> None:
        """Raise CancelRefused: there is no call that cancels a task on this wire."""
        raise CancelRefused("the upstream cancels no tasks")

    def check_account(self, account: Account) -> datetime | None:
        """Check the key by reading a task that does not exist: this costs nothing.

        Return the time by the upstream's clock, or None if its answer names none. Raise UpstreamError with the
        upstream's reason, if there is one.
        """

        def parse(answer: Answer) -> datetime | None:
            """Return the answer's date."""
            answers.check_unknown_task(answer)
            return http_dates.parse_date(answer.headers.get("Date", ""))

        return exchanges.call(account, "GET", _path_of_task(NO_TASK_ID), parse)

    def read_balance(self, account: Account) -> Balance:
        """Read the balance of Novita's account. Raise UpstreamError."""
        return books.read_balance(account)

    def read_bills(self, account: Account, since: datetime, until: datetime) -> list[BilledHour]:
        """Read the hourly bills of the keys of Novita's account. Raise UpstreamError."""
        return books.read_bills(account, since, until)

    def probe(self, account: Account, targets: Iterable[str]) -> Iterator[Probe]:
        """Yield whether each route lives. Raise Uncalibrated if no answer would mean anything."""
        return liveness.probe_all(account, targets)

    def parse_callback(self, content: bytes) -> str:
        """Return "": no callback is asked for on this wire."""
        return ""


def _path_of_task(upstream_id: str) -> str:
    return f"/v3/async/task-result?{urlencode({'task_id': upstream_id})}"


WIRE = NovitaWire()
