"""The two kinds of HTTP exchanges with an upstream: one paid POST on a new connection, and calls that may be repeated.

There are no retries and no redirects. A wire gives the path and the parser of the answer.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

import structlog

from generations import leases
from generations.outbound import response_body, transport
from generations.outbound.errors import BodyUndecodable, FetchFailed, OutboundError
from generations.telemetry.failpoints import failpoint
from generations.upstream import answers, task_ids
from generations.upstream.answers import Answer, FindIds
from generations.upstream.errors import UpstreamError, WrongTask
from generations.upstream.outcomes import InDoubt, NotCreated, SubmitOutcome
from generations.upstream.protocol import Account

Result = TypeVar("Result")

log = structlog.stdlib.get_logger(__name__)

FIRST_PIECE_BYTES, PIECE_BYTES = 1024, 1024 * 1024  # a submit's body is sent in a short piece, then in long ones
MAX_ANSWER_BYTES = 1024 * 1024  # a real answer has about one thousand

idle_connections = transport.Pool()  # for polls, which are many


def submit(
    account: Account,
    path: str,
    content: bytes,
    parse: Callable[[Answer], SubmitOutcome],
    *,
    find_ids: FindIds = task_ids.find,
) -> SubmitOutcome:
    """Send one paid POST, on a new connection, and return its outcome: it is paid for at most once.

    `find_ids` finds the task in an answer that is cut off.
    """
    headers = {**headers_of(account), "Content-Length": str(len(content))}
    budget, pieces = transport.Budget(leases.SUBMIT_CALL_SECONDS), _split(content)
    try:
        with transport.exchange("POST", account.base_url, headers, budget, path=path, content=pieces) as response:
            return _parse_submit(response, parse, find_ids)
    except FetchFailed as error:
        if error.is_unsent:
            return NotCreated(f"the upstream can not be reached: {error}")
        # The same error occurs with the whole POST received and with none of it: its name proves nothing.
        return InDoubt(f"the answer was lost: {error}")


def _parse_submit(
    response: transport.Response, parse: Callable[[Answer], SubmitOutcome], find_ids: FindIds
) -> SubmitOutcome:
    """Read the answer to a submit, and return its outcome. What came of an answer that is cut off may name the task."""
    try:
        return parse(_read(response))
    except OutboundError as error:
        received = Answer(response.status, response.headers, error.received)
        return answers.in_doubt(received, f"the answer was lost: {error}", find_ids)


def _split(content: bytes) -> Iterator[bytes]:
    """Yield the body piece by piece. The first piece is short, for tests that stop a submit half-way."""
    yield content[:FIRST_PIECE_BYTES]
    failpoint("submit_half_sent")
    for start in range(FIRST_PIECE_BYTES, len(content), PIECE_BYTES):
        yield content[start : start + PIECE_BYTES]


def call(
    account: Account,
    method: str,
    path: str,
    parse: Callable[[Answer], Result],
    *,
    task: str = "",
    max_bytes: int = MAX_ANSWER_BYTES,
) -> Result:
    """Make a call on a pooled connection, and return what `parse` makes of the answer. Raise UpstreamError.

    A connection that gave the answer to another request is closed: it may give each later answer to the wrong request.
    `task` is the task in question, for the log.
    """
    budget = transport.Budget(leases.POLL_CALL_SECONDS)
    try:
        with transport.exchange(
            method, account.base_url, headers_of(account), budget, path=path, pool=idle_connections
        ) as response:
            try:
                return parse(_read(response, max_bytes))
            except WrongTask as error:
                response.discard()
                log.error("an answer is about another task", task=task, trouble=str(error))
                raise
    except OutboundError as error:
        raise UpstreamError(f"the call failed: {error}") from error


def ask_once(account: Account, method: str, path: str, content: bytes) -> Answer:
    """Make one call with a body on a new connection, and return its answer. Raise OutboundError."""
    headers = {**headers_of(account), "Content-Length": str(len(content))}
    budget = transport.Budget(leases.POLL_CALL_SECONDS)
    with transport.exchange(method, account.base_url, headers, budget, path=path, content=content) as response:
        return _read(response)


def _read(response: transport.Response, max_bytes: int = MAX_ANSWER_BYTES) -> Answer:
    """Read the whole answer, as it came if it cannot be unpacked. Raise FetchFailed or FetchTooLarge."""
    try:
        content = response_body.read(response, max_bytes)
    except BodyUndecodable as error:
        content = error.received
    return Answer(response.status, response.headers, content)


def headers_of(account: Account) -> dict[str, str]:
    """Return the headers of every request: our key, and that the answer need not be compressed."""
    return {
        "Authorization": f"Bearer {account.api_key}",
        "Content-Type": "application/json",
        "Accept-Encoding": "identity",
    }
