"""The pattern of callers' URLs in schemas takes what `addresses.check_url` takes."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generations.outbound import addresses, url_patterns
from generations.outbound.errors import FetchRefused

pytestmark = pytest.mark.one_database
ADMITTED = ["hooks.internal", "web:8080", "plain:80", "tls:443", "10.0.0.0/8", "172.16.0.0/12", "192.168.7.9/32", "a.b"]
HOSTS = """
hooks.internal HOOKS.internal other.internal web plain tls example.com example.com. a.b x.LOCAL x.local. localhost
a.localhost home.arpa x.home.arpa onion.example.com x.onions 10.1.2.3 10.01.2.3 11.1.2.3 172.15.0.1 172.31.255.255
172.32.0.0 192.168.7.9 192.168.7.8 256.1.1.1 10.0.0 user@example.com a_b.example.com -.example.com example.c-m example.7
""".split()
URLS = st.builds(
    "{}://{}{}{}".format,
    st.sampled_from(["https", "http", "HTTPS", "Http", "ftp", "httpss", ""]),
    st.sampled_from([*HOSTS, ""]),
    st.sampled_from(["", ":", ":443", ":8443", ":80", ":8080", ":22", ":x"]),
    st.sampled_from(
        ["", "/", "/a?b=c#d", "?x", "#x", "/a b", "/ä", "/{x}", "/a@b", "/[x]", "/^", "/://x.local/", "\n"]
    ),
)
MANY = settings(max_examples=500, deadline=None, derandomize=True)
FEWER = settings(max_examples=100, deadline=None, derandomize=True)  # texts made from a pattern take long


def is_taken(url: str, admitted: list[str]) -> bool:
    try:
        addresses.check_url(url, admitted)
    except FetchRefused:
        return False
    return True


@MANY
@given(url=URLS)
def test_the_pattern_takes_what_the_check_takes(url: str) -> None:
    for admitted in ([], ADMITTED):
        pattern = url_patterns.of_callers(admitted)
        assert bool(re.fullmatch(pattern, url)) == is_taken(url, admitted)


@FEWER
@given(url=st.from_regex(addresses.PUBLIC_URL, fullmatch=True))
def test_public_urls_in_all_their_forms(url: str) -> None:
    if "xn--" not in url.lower():
        assert bool(re.fullmatch(url_patterns.of_callers([]), url)) == is_taken(url, [])


def test_an_address_of_an_ipv6_network_is_taken() -> None:
    pattern = url_patterns.of_callers(["fd00::/8"])
    assert re.fullmatch(pattern, "http://[fd00::1]:8080/x")
    assert is_taken("http://[fd00::1]:8080/x", ["fd00::/8"])
    assert not re.fullmatch(pattern, "http://10.0.0.1/")


@pytest.mark.parametrize(
    ("url", "is_right"),
    [
        ("https://example.com/hook", True),
        ("https://example.com.:8443?x", True),
        ("", True),
        ("http://example.com/hook", False),
        ("https://x.LOCAL/", False),
        ("http://hooks.internal:9/x", True),
        ("http://web:8080", True),
        ("http://web", False),
        ("http://plain", True),
        ("https://plain", False),
        ("https://tls/", True),
        ("http://172.31.255.255:1/", True),
        ("http://172.32.0.0/", False),
    ],
)
def test_some_urls(url: str, is_right: bool) -> None:
    assert bool(re.fullmatch(url_patterns.of_callers(ADMITTED), url)) is is_right
