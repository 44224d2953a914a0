"""Of an address that others wrote, only scheme and host are shown."""

import pytest

from tenants.masked_urls import host_only, mask_all, mask_urls


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("https://hooks.example.com/a/token?b=c#d", "https://hooks.example.com/…"),
        ("HTTPS://Hooks.Example.com/a", "HTTPS://Hooks.Example.com/…"),
        ("http://hooks.example.com:8443/a", "http://hooks.example.com:8443/…"),
        ("https://user:secret@hooks.example.com/a", "https://hooks.example.com/…"),
        ("https://hooks.example.com?token=a", "https://hooks.example.com/…"),
        ("https://hooks.example.com#token", "https://hooks.example.com/…"),
        ("https://[2001:db8::1]/token", "https://[2001:db8::1]/…"),
        ("https://hooks.example.com", "https://hooks.example.com"),
        ("https://hooks.example.com/", "https://hooks.example.com/"),
        (
            "from https://a.example/x, then 'https://b.example/y'.",
            "from https://a.example/… then 'https://b.example/…'.",
        ),
        ("no address", "no address"),
        ("", ""),
    ],
)
def test_a_url_is_cut_behind_its_host(text: str, masked: str) -> None:
    assert mask_urls(text) == masked
    assert mask_urls(masked) == masked


def test_values_of_any_form_are_masked() -> None:
    value = {"url": ["https://a.example/x", "https://a.example/y"], "count": 3, "deep": {"text": "https://b.example/z"}}
    assert mask_all(value) == {
        "url": ["https://a.example/…", "https://a.example/…"],
        "count": 3,
        "deep": {"text": "https://b.example/…"},
    }


def test_the_host_alone_is_a_url() -> None:
    assert host_only("https://a.example/x?y") == "https://a.example/"
    assert host_only("https://a.example") == "https://a.example"
