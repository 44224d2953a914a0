"""The guarded way to read a URL that somebody else chose, and to post to one.

Every address that DNS answers is checked, and the connection goes to the address that was checked. Redirects are
followed by hand and checked anew, those of a post not at all; the whole exchange has one deadline and the body a limit
of bytes.
"""

import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import httpx
from django.conf import settings

from generations.outbound import addresses, http_dates, transport
from generations.outbound.errors import FetchFailed, FetchTooLarge

MAX_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
MAX_HEAD = 32 * 1024  # bytes of an answer to a post; h11 bounds one head, and not how many of 1xx come before it
MAX_SILENCE = 20.0  # seconds without a byte
MAX_RETRY_AFTER = 86400.0  # seconds
# A compressed body could be a bomb; an image or a video gains nothing from it.
HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity"}

_resolver = ThreadPoolExecutor(32, thread_name_prefix="resolver")
# Their own, so that names which never resolve hold up no picture. A look-up may outlive the post that gave it up, by
# about as long as a post takes: two for each.
_posts_resolver = ThreadPoolExecutor(2 * settings.DELIVERY_THREADS, thread_name_prefix="posts-resolver")


@dataclass(frozen=True)
class Answer:
    """The answer to a post, without anything that its receiver wrote."""

    status: int
    retry_after: float | None  # seconds


@dataclass(frozen=True)
class Download:
    length: int | None  # bytes, where the server said
    chunks: Iterator[bytes]  # raises FetchFailed or FetchTooLarge on the way


def read(url: str, *, limit: int, deadline: float) -> bytes:
    """Return the body as `open_url` yields it."""
    with open_url(url, limit=limit, deadline=deadline) as download:
        content = io.BytesIO()  # and no list of chunks: the peer says how small they are
        content.writelines(download.chunks)
        return content.getvalue()


@contextmanager
def open_url(url: str, *, limit: int, deadline: float) -> Iterator[Download]:
    """Yield the body as a stream of at most `limit` bytes, all of it within `deadline` seconds.

    Raises FetchRefused, FetchFailed or FetchTooLarge.
    """
    budget, resolve = transport.Budget(deadline, silence=MAX_SILENCE), partial(addresses.resolve, _resolver)
    target = addresses.check_url(url)
    for _ in range(MAX_REDIRECTS + 1):
        with transport.exchange("GET", str(target), HEADERS, budget, resolve=resolve) as response:
            if response.status == 200:
                yield _download(response, limit)
                return
            target = _redirect_target(target, response)
    raise FetchFailed(f"more than {MAX_REDIRECTS} redirects")


def post(url: str, content: bytes, headers: Mapping[str, str], *, deadline: float) -> Answer:
    """Return the answer's status once its head has come; its body is not read. Raises FetchRefused or FetchFailed."""
    target, resolve = str(addresses.check_url(url)), partial(addresses.resolve, _posts_resolver)
    budget = transport.Budget(deadline, silence=MAX_SILENCE, max_bytes=MAX_HEAD)
    headers = {**headers, "Content-Length": str(len(content))}
    with transport.exchange("POST", target, headers, budget, content=content, resolve=resolve) as response:
        wait = http_dates.parse_retry_after(response.headers.get("Retry-After", ""), MAX_RETRY_AFTER)
        return Answer(response.status, wait)


def _redirect_target(url: httpx.URL, response: transport.Response) -> httpx.URL:
    """Return the checked URL that the answer leads to. Raise FetchRefused, or FetchFailed if it leads nowhere."""
    location = response.headers.get("Location")
    if response.status not in REDIRECTS or location is None:
        raise FetchFailed(f"HTTP {response.status}")
    try:
        target = httpx.URL(location)
        if not target.scheme:
            target = url.join(target)
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchFailed("it leads to what is no URL") from error
    return addresses.check_url(str(target))


def _download(response: transport.Response, limit: int) -> Download:
    if response.headers.get("Content-Encoding", "").lower() not in ("", "identity"):
        raise FetchFailed("the body is compressed, which was not asked for")
    chunked = "Transfer-Encoding" in response.headers  # then a length says nothing, RFC 9112, 6.3
    stated = "" if chunked else response.headers.get("Content-Length", "")
    length = int(stated) if stated.isascii() and stated.isdecimal() else None
    if length is not None and length > limit:
        raise FetchTooLarge(f"more than {limit} bytes")
    return Download(length, _bounded(response.chunks, limit))


def _bounded(chunks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    received = 0
    for chunk in chunks:
        received += len(chunk)
        if received > limit:
            raise FetchTooLarge(f"more than {limit} bytes")
        yield chunk
