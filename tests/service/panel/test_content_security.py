"""The panel's pages have strict security headers; other pages have their own."""

from typing import Any

import pytest

from generations.bucket import signed_urls
from tests.http_client import Client

pytestmark = pytest.mark.one_database


def policy(response: Any) -> dict[str, str]:
    """Return the directives of the response's Content-Security-Policy."""
    parts = (part.strip().partition(" ") for part in response["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/generations/generation/", "/admin/nowhere/"])
def test_no_page_of_the_panel_runs_an_inline_script(admin_client: Client, path: str) -> None:
    response = admin_client.get(path)
    directives = policy(response)
    assert directives["default-src"] == "'none'"
    assert "'unsafe-inline'" not in directives["script-src"]
    assert "http" not in directives["script-src"]
    assert directives["frame-ancestors"] == directives["base-uri"] == "'none'"
    assert (response["X-Frame-Options"], response["X-Content-Type-Options"]) == ("DENY", "nosniff")
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("public", "origin"),
    [
        ("", "https://seedance-tests.s3.amazonaws.com"),
        ("https://s3.company.example:8443/x", "https://s3.company.example:8443"),
    ],
)
def test_images_and_videos_come_from_the_bucket_alone(
    admin_client: Client, settings: Any, public: str, origin: str
) -> None:
    settings.S3_PUBLIC_URL = public
    directives = policy(admin_client.get("/admin/"))
    assert directives["media-src"] == f"'self' {origin}"
    assert directives["img-src"] == f"'self' data: {origin}"
    assert signed_urls.signer().sign("a", content_type="video/mp4", file_name="a.mp4").startswith(origin)


def test_other_pages_have_no_such_policy(client: Client, db: None) -> None:
    for path in ("/v1/generations", "/docs", "/"):
        assert "Content-Security-Policy" not in client.get(path).headers
