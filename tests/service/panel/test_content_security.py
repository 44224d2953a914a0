"""What a browser is told of the panel's pages, and of no others."""

from typing import Any

import pytest

from generations.bucket import signed_urls
from tests.http_client import Client

pytestmark = pytest.mark.one_database


def policy(answer: Any) -> dict[str, str]:
    parts = (part.strip().partition(" ") for part in answer["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/generations/generation/", "/admin/nowhere/"])
def test_no_page_of_the_panel_runs_an_inline_script(admin_client: Client, path: str) -> None:
    answer = admin_client.get(path)
    told = policy(answer)
    assert told["default-src"] == "'none'"
    assert "'unsafe-inline'" not in told["script-src"]
    assert "http" not in told["script-src"]
    assert told["frame-ancestors"] == told["base-uri"] == "'none'"
    assert (answer["X-Frame-Options"], answer["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("public", "origin"),
    [
        ("", "https://seedance-tests.s3.amazonaws.com"),
        ("https://s3.company.example:8443/x", "https://s3.company.example:8443"),
    ],
)
def test_pictures_and_videos_come_from_the_bucket_alone(
    admin_client: Client, settings: Any, public: str, origin: str
) -> None:
    settings.S3_PUBLIC_URL = public
    told = policy(admin_client.get("/admin/"))
    assert told["media-src"] == f"'self' {origin}"
    assert told["img-src"] == f"'self' data: {origin}"
    assert signed_urls.sign("a", content_type="video/mp4", file_name="a.mp4").startswith(origin)


def test_other_pages_have_their_own(client: Client, db: None) -> None:
    for path in ("/v1/generations", "/docs", "/"):
        assert "Content-Security-Policy" not in client.get(path).headers
