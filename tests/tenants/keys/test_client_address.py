"""The address by which wrong keys and wrong passwords are counted."""

from types import SimpleNamespace
from typing import Any

import pytest

from tenants.keys.client_address import UNKNOWN, client_address, read_address

SOCKET = "203.0.113.9"


def address(forwarded: str | None = None, socket: str = SOCKET) -> str:
    """Return the address of a request with these values."""
    meta = {"REMOTE_ADDR": socket, **({} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded})}
    return client_address(SimpleNamespace(META=meta))


@pytest.mark.parametrize(
    ("socket", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        ("2001:DB8:1:2::", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2002:c000:201::7", "192.0.2.1"),
        ("2002:c000:201:ffff::7", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
        ("", UNKNOWN),
        ("unix:", UNKNOWN),
    ],
)
def test_an_ipv6_network_counts_as_one_address(socket: str, counted: str) -> None:
    assert address(socket=socket) == counted


@pytest.mark.parametrize(
    ("socket", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:4711", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6"),
        ("[2001:DB8::7]:443", "2001:db8::7"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2002:c000:201::7", "2002:c000:201::7"),
        ("", "None"),
        ("unix:", "None"),
    ],
)
def test_lists_of_networks_see_the_whole_address(socket: str, address: str) -> None:
    assert str(read_address(SimpleNamespace(META={"REMOTE_ADDR": socket}))) == address


@pytest.mark.parametrize(
    ("hops", "forwarded", "counted"),
    [
        (0, "192.0.2.1", SOCKET),
        (1, None, SOCKET),
        (1, "", SOCKET),
        (1, "192.0.2.1", "192.0.2.1"),
        (1, "6.6.6.6, 192.0.2.1", "192.0.2.1"),
        (1, "6.6.6.6,192.0.2.1 ", "192.0.2.1"),
        (2, "6.6.6.6, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
        (2, "192.0.2.1", SOCKET),
        (1, "192.0.2.1:50123", "192.0.2.1"),
        (1, "[2001:db8:1:2::7]:443", "2001:db8:1:2::"),
        (1, "2001:db8:1:2::7", "2001:db8:1:2::"),
        (1, "unknown", SOCKET),
        (1, "6.6.6.6, _hidden", SOCKET),
        (1, "1.2.3.4\x00", SOCKET),
        (1, "a" * 100_000, SOCKET),
    ],
)
def test_only_what_our_proxies_wrote_is_believed(hops: int, forwarded: str | None, counted: str, settings: Any) -> None:
    settings.PROXY_HOPS = hops
    assert address(forwarded) == counted


def test_the_proxies_may_write_another_header(settings: Any) -> None:
    settings.PROXY_HOPS, settings.PROXY_META = 1, "HTTP_CLIENTADDRESS"
    meta = {"REMOTE_ADDR": SOCKET, "HTTP_X_FORWARDED_FOR": "6.6.6.6", "HTTP_CLIENTADDRESS": "192.0.2.1"}
    assert client_address(SimpleNamespace(META=meta)) == "192.0.2.1"
