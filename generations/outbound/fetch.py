"""Read a URL that a caller or an upstream chose, and post to one, without reaching private hosts.

Every address that DNS returns is checked, and the connection goes to a checked address. Each redirect of a read is
checked again; redirects of a post are not followed. The whole exchange has one deadline, and the body a limit of bytes.
"""

import io
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from django.conf import settings

from generations.outbound import addresses, http_dates, redirects, response_body, transport
from generations.outbound.errors import FetchFailed, FetchNotServed, FetchTooLarge
from generations.outbound.look_ups import Resolver

# A server that answers with another 4xx will do so again: RFC 9110, 15.5. These speak of this moment, or connection.
TEMPORARY = (408, 421, 423, 425, 429)
MAX_HEAD_BYTES = 32 * 1024  # of an answer to a post; h11 limits one head, but not the number of 1xx answers before it
MAX_SILENCE_SECONDS = 20.0  # without a byte
READ_BYTES = 256 * 1024  # of an image or a video, at once
# A longer Retry-After is cut to these: of a receiver of posts, and of a server of images or videos.
MAX_POST_RETRY_AFTER_SECONDS, MAX_READ_RETRY_AFTER_SECONDS = 86400.0, 300.0
# Images and videos gain nothing from compression. A store that keeps them compressed sends them so all the same.
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}

_resolver = Resolver("resolver", 32)
# Posts have their own pool, so that names which never resolve delay no image. A look-up may outlive its post, by about
# as long as a post takes: two threads for each post.
_posts_resolver = Resolver("posts-resolver", 2 * settings.DELIVERY_THREADS)


@dataclass(frozen=True)
class Answer:
    """The answer to a post, without any text of the receiver."""

    status: int
    retry_after: float | None  # seconds from now


@dataclass(frozen=True)
class Download:
    """The body of an answer, which is read and unpacked while it arrives."""

    length: int | None  # bytes, if the server states them and the body is not compressed
    chunks: Iterator[bytes]  # may raise FetchFailed or FetchTooLarge


def read(url: str, *, limit: int, deadline: float) -> bytes:
    """Return the body behind the URL, with the limits and errors of `open_url`."""
    with open_url(url, limit=limit, deadline=deadline) as download:
        content = io.BytesIO()  # not a list of chunks: the peer decides how small they are
        content.writelines(download.chunks)
        return content.getvalue()


@contextmanager
def open_url(url: str, *, limit: int, deadline: float, admitted: Collection[str] | None = None) -> Iterator[Download]:
    """Yield the unpacked body, a stream of at most `limit` bytes. The whole exchange ends within `deadline` seconds.

    `admitted` are private hosts and networks, those for callers unless given. Raise FetchRefused, FetchFailed or
    FetchTooLarge.
    """
    admitted = addresses.for_callers() if admitted is None else admitted
    budget = transport.Budget(deadline, silence=MAX_SILENCE_SECONDS, read_bytes=READ_BYTES)
    resolve, target = partial(addresses.resolve, _resolver, admitted), addresses.check_url(url, admitted)
    for _ in range(redirects.MAX_REDIRECTS + 1):
        with transport.exchange("GET", str(target), HEADERS, budget, resolve=resolve) as response:
            if response.status == 200:
                yield _download(response, limit)
                return
            if not redirects.is_redirect(response.status, response.headers):
                raise _describe_refusal(response)
            target = addresses.check_url(redirects.target(target, response.headers), admitted)
    raise FetchNotServed(f"more than {redirects.MAX_REDIRECTS} redirects")


def post(url: str, content: bytes, headers: Mapping[str, str], *, deadline: float) -> Answer:
    """Post the content and return the answer's status. The answer's body is not read.

    `deadline` is in seconds, for the whole exchange. Raise FetchRefused or FetchFailed.
    """
    target, resolve = (
        str(addresses.check_url(url)),
        partial(addresses.resolve, _posts_resolver, addresses.for_callers()),
    )
    budget = transport.Budget(deadline, silence=MAX_SILENCE_SECONDS, max_bytes=MAX_HEAD_BYTES)
    headers = {**headers, "Content-Length": str(len(content))}
    with transport.exchange("POST", target, headers, budget, content=content, resolve=resolve) as response:
        wait = http_dates.parse_retry_after(response.headers.get("Retry-After", ""), MAX_POST_RETRY_AFTER_SECONDS)
        return Answer(response.status, wait)


def _describe_refusal(response: transport.Response) -> FetchFailed:
    """Return the error for an answer without the body sought."""
    reason = f"the server answered with HTTP {response.status}"
    if response.status < 500 and response.status not in TEMPORARY:
        return FetchNotServed(reason)
    wait = http_dates.parse_retry_after(response.headers.get("Retry-After", ""), MAX_READ_RETRY_AFTER_SECONDS)
    return FetchFailed(reason, retry_after=wait)


def _download(response: transport.Response, limit: int) -> Download:
    """Return the body of the answer. Raise BodyUndecodable, or FetchTooLarge if its length says so."""
    chunks = response_body.stream(response, limit)
    # Beside chunks a Content-Length has no meaning: RFC 9112, 6.3. Of a compressed body it is not the length sought.
    is_other = "Transfer-Encoding" in response.headers or response_body.compressions(response.headers)
    stated = "" if is_other else response.headers.get("Content-Length", "")
    length = int(stated) if stated.isascii() and stated.isdecimal() else None
    if length is not None and length > limit:
        raise FetchTooLarge(f"more than {limit} bytes")
    return Download(length, chunks)
