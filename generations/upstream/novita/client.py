"""Call Novita's asynchronous API over HTTP. The module `answers` parses its answers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec
import structlog
from django.conf import settings

from generations import leases
from generations.outbound import http_dates, response_body, transport
from generations.outbound.errors import BodyUndecodable, FetchFailed, OutboundError
from generations.telemetry.failpoints import failpoint
from generations.upstream.errors import UpstreamError, WrongTask
from generations.upstream.novita import answers
from generations.upstream.novita.answers import Answer
from generations.upstream.outcomes import InDoubt, NotCreated, PollOutcome, SubmitOutcome

Result = TypeVar("Result")

log = structlog.stdlib.get_logger(__name__)

FIRST_PIECE_BYTES, PIECE_BYTES = 1024, 1024 * 1024  # a submit's body is sent in a short piece, then in long ones
NO_TASK_ID = "00000000-0000-0000-0000-000000000000"  # the id of no task at all
MAX_ANSWER_BYTES = 1024 * 1024  # a real answer has about one thousand

idle_connections = transport.Pool()  # for polls, which are many


@dataclass(frozen=True)
class Account:
    """The upstream's address, and our API key there."""

    base_url: str
    api_key: str = field(repr=False)


def account(*, test: bool) -> Account:
    """Return the account for live generations or, for `test`, the sandbox: the live key never goes there."""
    if test:
        return Account(settings.SANDBOX_BASE_URL, settings.SANDBOX_API_KEY)
    return Account(settings.NOVITA_BASE_URL, settings.NOVITA_API_KEY)


def submit(to: Account, path: str, body: dict[str, Any]) -> SubmitOutcome:
    """Send one paid POST, on a new connection, and return its outcome.

    There are no retries and no redirects, so the request is paid for at most once.
    """
    content = msgspec.json.encode(body)
    headers = {**headers_of(to), "Content-Length": str(len(content))}
    budget, pieces = transport.Budget(leases.SUBMIT_CALL_SECONDS), _split(content)
    try:
        with transport.exchange("POST", to.base_url, headers, budget, path=path, content=pieces) as response:
            return _parse_submit(response)
    except FetchFailed as error:
        if error.is_unsent:
            return NotCreated(f"the upstream can not be reached: {error}")
        # The same error occurs with the whole POST received and with none of it: its name proves nothing.
        return InDoubt(f"the answer was lost: {error}")


def _parse_submit(response: transport.Response) -> SubmitOutcome:
    """Read the answer to a submit, and return its outcome. What came of an answer that is cut off may name the task."""
    try:
        return answers.parse_submit(read_answer(response))
    except OutboundError as error:
        received = Answer(response.status, response.headers, error.received)
        return answers.in_doubt(received, f"the answer was lost: {error}")


def _split(content: bytes) -> Iterator[bytes]:
    """Yield the body piece by piece. The first piece is short, for tests that stop a submit half-way."""
    yield content[:FIRST_PIECE_BYTES]
    failpoint("submit_half_sent")
    for start in range(FIRST_PIECE_BYTES, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]


def get_task(to: Account, upstream_id: str) -> PollOutcome:
    """Read a task's state. Raise UpstreamError if there is no clear answer: that means "not yet", never a failure."""
    return _get_task_result(to, upstream_id, lambda answer: answers.parse_task(answer, upstream_id))


def check_account(to: Account) -> datetime | None:
    """Check that the upstream answers and accepts our key, by reading a task that does not exist: this costs nothing.

    Return the time by the upstream's clock, or None if its answer names none. Raise UpstreamError with the upstream's
    reason, if there is one.
    """

    def parse(answer: Answer) -> datetime | None:
        """Return the answer's date."""
        answers.check_unknown_task(answer)
        return http_dates.parse_date(answer.headers.get("Date", ""))

    return _get_task_result(to, NO_TASK_ID, parse)


def _get_task_result(to: Account, upstream_id: str, parse: Callable[[Answer], Result]) -> Result:
    """Ask for a task's result on a pooled connection, and return what `parse` makes of the answer.

    Raise UpstreamError if the request fails. A connection that gave the answer to another request is closed: it may
    give each later answer to the wrong request.
    """
    path = f"/v3/async/task-result?{urlencode({'task_id': upstream_id})}"
    budget = transport.Budget(leases.POLL_CALL_SECONDS)
    try:
        with transport.exchange(
            "GET", to.base_url, headers_of(to), budget, path=path, pool=idle_connections
        ) as response:
            try:
                return parse(read_answer(response))
            except WrongTask as error:
                response.discard()
                log.error("an answer is about another task", task=upstream_id, trouble=str(error))
                raise
    except OutboundError as error:
        raise UpstreamError(f"the poll failed: {error}") from error


def read_answer(response: transport.Response) -> Answer:
    """Read the whole answer, as it came if it cannot be unpacked. Raise FetchFailed or FetchTooLarge."""
    try:
        content = response_body.read(response, MAX_ANSWER_BYTES)
    except BodyUndecodable as error:
        content = error.received
    return Answer(response.status, response.headers, content)


def headers_of(to: Account) -> dict[str, str]:
    """Return the headers of every request: our key, and that the answer need not be compressed."""
    return {
        "Authorization": f"Bearer {to.api_key}",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
    }
