"""Tests of the rules by which addresses and URLs are public."""

import ipaddress

import pytest

from generations.outbound import addresses
from generations.outbound.errors import FetchRefused

REFUSED_ADDRESSES = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 127.0.0.1 127.255.0.1 169.254.169.254 169.254.170.2
172.16.0.1 172.31.255.255 192.0.0.192 192.0.2.1 192.31.196.1 192.52.193.1 192.88.99.1 192.168.1.1 192.175.48.1
198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 168.63.129.16
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 ::ffff:0:127.0.0.1 64:ff9b::169.254.169.254
64:ff9b::8.8.8.8 64:ff9b:1::1 100::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fec0::1 ff02::1 2001::1 2001:db8::1
2002:7f00:1::1 2620:4f:8000::1 3fff::1 4000::1
""".split()
PUBLIC_ADDRESSES = """
1.1.1.1 8.8.8.8 100.63.255.255 100.128.0.1 172.15.255.255 172.32.0.1 192.0.1.1 198.17.255.255 198.20.0.1 223.255.255.255
2606:4700::1111 2001:4860:4860::8888 2a00:1450::1 2003::1
""".split()


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert not addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PUBLIC_ADDRESSES)
def test_a_public_address_is_accepted(address: str) -> None:
    assert addresses.is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/a.png",
        "file:///etc/passwd",
        "//example.com/a.png",
        "https://",
        "http://example.com/a.png",
        "https://example.com:8080/a.png",
        "https://example.com:22/a.png",
        "https://user@example.com/a.png",
        "https://user:password@example.com/a.png",
        "https://example.com\\@169.254.169.254/",
        "https://exa\tmple.com/",
        "https://example.com/a b",
        "https://example.com/\u0000",
        "https://ex\u00e4mple.com/",
        "https://\u2460\u2461\u2466.0.0.1/",
        "https://127.0.0.1/a.png",
        "https://8.8.8.8/a.png",
        "https://[::1]/a.png",
        "https://[::ffff:127.0.0.1]/a.png",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://a.localhost/",
        "https://printer.local/",
        "https://metadata.google.internal/",
        "https://intranet/",
        "https://xn--a.example/",
        "https://xn--n3h.com/",
        "https://intranet./",
        "https://example.com*/",
        "https://exam!ple.com/",
        "https://example.com:/",
        "https://example.com:0443/",
        "https://example.com/" + "a" * 9000,
    ],
)
def test_a_url_is_refused_by_its_text_alone(url: str) -> None:
    with pytest.raises(FetchRefused):
        addresses.check_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.png",
        "HTTPS://Example.COM/a.png",
        "https://example.com:443/a.png",
        "https://cdn.example.co.uk:8443/a.png?X-Amz-Signature=abc%2Fdef&x=1#part",
        "https://xn--exmple-cua.com/a.png",
        "https://1.example.com/",
    ],
)
def test_an_ordinary_url_is_accepted(url: str) -> None:
    assert addresses.check_url(url)
