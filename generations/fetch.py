"""The guarded way to read a URL that somebody else chose, and to post to one.

Every address that DNS answers is checked, and the connection goes to the address that was checked. Redirects are
followed by hand and checked anew, those of a post not at all; the whole exchange has one deadline and the body a limit
of bytes.
"""

import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import httpx
from django.conf import settings

from generations import retry_after
from generations.deadline import Clock, DeadlineBackend, tls
from generations.errors import FetchFailed, FetchRefused, FetchTooLarge

MAX_REDIRECTS = 3
MAX_URL = 8192  # characters; presigned URLs with a session token reach 2,000
CHUNK = 64 * 1024  # bytes; sixteen copies at once hold several each
PORTS = (443, 8443)
MAX_HEAD = 32 * 1024  # bytes of an answer to a post; h11 bounds one head, and not how many of 1xx come before it
IDLE = 20.0  # seconds without a byte
LONGEST_WAIT = 86400.0  # seconds that a Retry-After may ask for
AGENT = {"User-Agent": "seedance-service"}

# Python's is_global calls several of these global, and changes its mind between releases. Source of the list:
# the IANA special-purpose registries, and 168.63.129.16, Azure's metadata under a public address.
DENIED_V4 = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 "
        "192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 "
        "198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 168.63.129.16/32"
    ).split()
]
GLOBAL_V6 = ipaddress.IPv6Network("2000::/3")  # all the rest is denied: mapped, NAT64, unique local, multicast …
DENIED_V6 = [
    ipaddress.IPv6Network(text) for text in "2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20".split()
]
# As it is written, for Python and for ECMA 262: some of it the client's own parser would mend, or resolve in its way.
PUBLIC_URL = r"[Hh][Tt][Tt][Pp][Ss]://([A-Za-z0-9_-]+\.)+[A-Za-z]([A-Za-z0-9-]*[A-Za-z])?\.?(:(443|8443))?"
PUBLIC_URL += r"([/?#][!#-;=?-Z\[\]_a-z~]*)?"
DENIED_NAMES = ("localhost", "local", "internal", "localdomain", "home.arpa", "onion")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_resolver = ThreadPoolExecutor(32, thread_name_prefix="resolver")
# Their own, so that names which never resolve hold up no picture. A look-up may outlive the post that gave it up, by
# about as long as a post takes: two for each.
_posts_resolver = ThreadPoolExecutor(2 * settings.DELIVERY_THREADS, thread_name_prefix="posts-resolver")


@dataclass(frozen=True)
class Answer:
    """To a post: nothing that its receiver wrote is kept."""

    status: int
    retry_after: float | None  # seconds


@dataclass(frozen=True)
class Download:
    length: int | None  # bytes, where the server said
    content_type: str
    chunks: Iterator[bytes]  # raises FetchFailed or FetchTooLarge on the way


def check_url(url: str) -> httpx.URL:
    """The URL, if its text alone does not refuse it already. Raises FetchRefused with the reason."""
    if len(url) > MAX_URL or not url.isascii() or any(char in url for char in '\\"<>^`{|}') or not url.isprintable():
        raise FetchRefused("it is too long or holds characters that a URL may not have")
    try:
        parts = httpx.URL(url)
        host = parts.host  # decodes a name of the xn-- form, which may be none
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchRefused("it is not a URL") from error
    if parts.scheme not in ("http", "https") or not host:
        raise FetchRefused("it is not an http or https URL")
    if parts.userinfo or " " in url:
        raise FetchRefused("it holds a user name or a space")
    if not _is_admitted(host, _port(parts)):
        _check_public(parts, url)
    return parts


def is_public(address: Address) -> bool:
    """True only for an address of the public Internet."""
    if isinstance(address, ipaddress.IPv4Address):
        return not any(address in network for network in DENIED_V4)
    return address in GLOBAL_V6 and not any(address in network for network in DENIED_V6)


def read(url: str, *, limit: int, deadline: float) -> bytes:
    """The body, at most `limit` bytes, within `deadline` seconds. Raises FetchRefused, -Failed or -TooLarge."""
    with open_url(url, limit=limit, deadline=deadline) as download:
        return b"".join(download.chunks)


@contextmanager
def open_url(url: str, *, limit: int, deadline: float) -> Iterator[Download]:
    """The body as a stream of at most `limit` bytes, all of it within `deadline` seconds."""
    with _client(Clock(deadline)) as client:
        try:
            response = _follow(client, check_url(url))
            yield _download(response, limit)
        except httpx.HTTPError as error:
            # Its text may hold the URL, and the URL a signature: only its kind goes on.
            raise FetchFailed(type(error).__name__) from error


def post(url: str, content: bytes, headers: Mapping[str, str], *, deadline: float) -> Answer:
    """Its status, once the head of the answer has come: the body is not read. Raises FetchRefused or FetchFailed."""
    request = httpx.Request(
        "POST",
        check_url(url),
        content=content,
        headers={**AGENT, **headers},
        extensions={"timeout": httpx.Timeout(IDLE).as_dict()},
    )
    # The transport itself: a client would look at a redirect's Location.
    with _transport(Clock(deadline, MAX_HEAD), _posts_resolver) as transport:
        try:
            response = transport.handle_request(request)
            response.close()
        except httpx.HTTPError as error:
            raise FetchFailed(type(error).__name__) from error
    wait = retry_after.seconds(response.headers.get("Retry-After", ""), LONGEST_WAIT)
    return Answer(response.status_code, wait)


def _client(clock: Clock) -> httpx.Client:
    return httpx.Client(
        transport=_transport(clock, _resolver),
        trust_env=False,
        timeout=IDLE,
        # A compressed body could be a bomb; an image or a video gains nothing from it.
        headers={"Accept-Encoding": "identity", **AGENT},
    )


def _transport(clock: Clock, resolver: ThreadPoolExecutor) -> httpx.HTTPTransport:
    transport = httpx.HTTPTransport(verify=tls(), trust_env=False)
    # httpx gives no other way to choose the network backend; the exact version is pinned and a test watches it.
    transport._pool._network_backend = DeadlineBackend(clock, partial(_checked_address, resolver, clock))
    return transport


def _follow(client: httpx.Client, url: httpx.URL) -> httpx.Response:
    for _ in range(MAX_REDIRECTS + 1):
        response = _send(client, url)
        if response.status_code == 200:
            return response
        response.close()
        if not response.has_redirect_location:
            raise FetchFailed(f"HTTP {response.status_code}")
        url = check_url(str(url.join(response.headers["Location"])))
    raise FetchFailed(f"more than {MAX_REDIRECTS} redirects")


def _send(client: httpx.Client, url: httpx.URL) -> httpx.Response:
    try:
        return client.send(client.build_request("GET", url), stream=True)
    except (ValueError, httpx.InvalidURL) as error:  # httpx looks at the Location before we do
        raise FetchRefused("it leads to what is no URL") from error


def _download(response: httpx.Response, limit: int) -> Download:
    if response.headers.get("Content-Encoding", "").lower() not in ("", "identity"):
        raise FetchFailed("the body is compressed, which was not asked for")
    chunked = "Transfer-Encoding" in response.headers  # then a length says nothing, RFC 9112, 6.3
    stated = "" if chunked else response.headers.get("Content-Length", "")
    length = int(stated) if stated.isascii() and stated.isdecimal() else None
    if length is not None and length > limit:
        raise FetchTooLarge(f"more than {limit} bytes")
    return Download(length, response.headers.get("Content-Type", ""), _bounded(response, limit))


def _bounded(response: httpx.Response, limit: int) -> Iterator[bytes]:
    received = 0
    try:
        for chunk in response.iter_raw(CHUNK):
            received += len(chunk)
            if received > limit:
                raise FetchTooLarge(f"more than {limit} bytes")
            yield chunk
    except httpx.HTTPError as error:
        raise FetchFailed(type(error).__name__) from error


def _port(url: httpx.URL) -> int:
    return url.port or (443 if url.scheme == "https" else 80)


def _is_admitted(host: str, port: int) -> bool:
    """True where FETCH_ALLOW_HOSTS names the host, or the host with its port."""
    name = f"[{host}]" if ":" in host else host
    return not {host.lower(), name.lower(), f"{name}:{port}".lower()}.isdisjoint(settings.FETCH_ALLOW_HOSTS)


def _in_admitted_network(address: Address) -> bool:
    networks = [ipaddress.ip_network(entry, strict=False) for entry in settings.FETCH_ALLOW_HOSTS if "/" in entry]
    return any(address in network for network in networks if network.version == address.version)


def _check_public(url: httpx.URL, written: str) -> None:
    host = url.host.rstrip(".").lower()
    literal = _literal(host)
    if literal is not None and _in_admitted_network(literal):
        return
    if url.scheme != "https" or _port(url) not in PORTS:
        raise FetchRefused("only https on port 443 or 8443 is read")
    if literal is not None or host.replace(".", "").isdecimal() or host.endswith(tuple("0123456789")):
        raise FetchRefused("it names an address instead of a host")
    if "." not in host or host.endswith(tuple(f".{name}" for name in DENIED_NAMES)):
        raise FetchRefused("its host is not a public name")
    if not re.fullmatch(PUBLIC_URL, written):
        raise FetchRefused("it is not written as the URL of a public host")


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _checked_address(resolver: ThreadPoolExecutor, clock: Clock, host: str, port: int) -> str:
    """The first address of the host, all of them checked. Raises FetchRefused or FetchFailed."""
    lookup = resolver.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    try:
        answers = lookup.result(clock.left(IDLE))
    except TimeoutError as error:
        lookup.cancel()  # where it has not even begun
        raise FetchFailed("its host has no address") from error
    except (OSError, UnicodeError) as error:
        raise FetchFailed("its host has no address") from error
    addresses = [ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers]
    if not _is_admitted(host, port):
        refused = [address for address in addresses if not (is_public(address) or _in_admitted_network(address))]
        if refused:
            raise FetchRefused("its host has an address that is not public")
    if not addresses:
        raise FetchFailed("its host has no address")
    return str(addresses[0])
