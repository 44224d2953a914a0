"""Find the URL that a redirect leads to, as browsers read a Location.

The rules are at https://fetch.spec.whatwg.org/#concept-response-location-url and https://url.spec.whatwg.org/.
"""

import re
from urllib.parse import quote

import httpx

from generations.outbound.errors import FetchNotServed

STATUSES = (301, 302, 303, 307, 308)
MAX_REDIRECTS = 20  # as in the Fetch standard; the deadline is for all of them together
URL_CHARS = "!#$%&'()*+,/:;=?@[]~"  # beside letters, digits, "-", "." and "_"; all others are percent-encoded


def is_redirect(status: int, headers: httpx.Headers) -> bool:
    """Return whether the answer with that status leads elsewhere."""
    return status in STATUSES and "Location" in headers


def target(url: httpx.URL, headers: httpx.Headers) -> str:
    """Return the URL to which an answer of `url` redirects; nothing about it is checked. Raise FetchNotServed."""
    written = {_encode(value) for name, value in headers.raw if name.lower() == b"location"}
    if len(written) != 1 or "" in written:
        raise FetchNotServed("the server redirects without one clear target")
    [location] = written
    try:
        parsed = httpx.URL(location)
        return location if parsed.scheme else str(url.join(parsed))
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchNotServed("the server redirects to an invalid URL") from error


def _encode(location: bytes) -> str:
    """Return the Location with "/" for a backslash of its path, and percent-encoded where a URL has to be."""
    path, *rest = re.split(rb"(?=[?#])", location.strip().replace(b"\t", b""), maxsplit=1)
    return quote(b"".join([path.replace(b"\\", b"/"), *rest]), safe=URL_CHARS)
