"""Properties of redirects: whatever stands in a Location, no private host is reached and no other error is raised."""

import re
from contextlib import suppress

import httpx
from hypothesis import example, given
from hypothesis import strategies as st

from generations.outbound import addresses, redirects
from generations.outbound.errors import FetchNotServed, FetchRefused

BASE = httpx.URL("https://images.example.com/folder/a.png?size=1")
HOSTS = ["127.0.0.1", "[::1]", "localhost", "10.0.0.1", "2130706433", "0x7f.1", "[::ffff:7f00:1]", "a.internal", "b"]
# Pieces of which dangerous Locations are made.
PIECES = [
    "https:",
    "http:",
    "//",
    "/",
    "\\",
    "@",
    ":",
    "#",
    "?",
    "%",
    "%00",
    "%2f",
    "..",
    " ",
    "\t",
    "|",
    "é",
    "[",
    "]",
]
PIECES += [*HOSTS, "images.example.com", "cdn.example.com", ":8443", ":80", "user", "a.png"]

# A public name has a dot, and its last label is neither a number nor a private domain. Pieces join to longer names.
PUBLIC_NAME = re.compile(r".+\.(?!(?:internal|localhost|0x[0-9a-f]*|[0-9]*)$)[^.]+")


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
@example("//a.internalhttps:")
@example("https:\\\\127.0.0.1\\a.png")
@example("\\\\127.0.0.1/a.png")
@example("https://images.example.com@127.0.0.1/")
@example("https://images.example.com\\@127.0.0.1/")
def test_a_location_leads_to_a_public_host_or_is_refused(location: str) -> None:
    with suppress(FetchNotServed, FetchRefused):
        headers = httpx.Headers([(b"Location", location.encode())])
        target = addresses.check_url(redirects.target(BASE, headers), [])
        assert PUBLIC_NAME.fullmatch(target.host), target
        assert target.scheme == "https"


@given(st.binary(max_size=60))
def test_no_bytes_raise_another_error(location: bytes) -> None:
    with suppress(FetchNotServed, FetchRefused):
        addresses.check_url(redirects.target(BASE, httpx.Headers([(b"Location", location)])), [])
