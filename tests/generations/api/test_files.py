"""GET and HEAD of a video and of its poster, as players, browsers and download tools send them."""

from typing import Any

import httpx
import pytest

from generations.bucket import objects
from generations.models import Generation
from tests.generations.test_lifecycle import put_in
from tests.support.factories import Caller

VIDEO, POSTER = b"not quite an mp4", b"nor a jpeg"
ACCEPTED = [
    "video/webm,video/ogg,video/*;q=0.9,application/ogg;q=0.7,audio/*;q=0.6,*/*;q=0.5",  # Firefox's <video>
    "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",  # Chrome's <img>
    *["video/mp4", "image/avif,image/webp", "video/webm,audio/*;q=0.6", "image/jpeg;q=0", "text/html", "*", ""],
    *["application/octet-stream", "application/json;q=0", "no type at all", ";" * 2000],
]


@pytest.fixture
def succeeded(alice: Caller, real_bucket: None) -> Generation:
    """Return a generation whose video and poster are in the real S3, which checks signatures."""
    generation, _ = put_in(alice, "succeeded")
    objects.put(generation.video_key, VIDEO, "video/mp4")
    objects.put(generation.poster_key, POSTER, "image/jpeg")
    Generation.objects.filter(pk=generation.pk).update(video_size=len(VIDEO))
    return generation


@pytest.mark.usefixtures("bucket")
@pytest.mark.parametrize("name", ["video", "poster"])
@pytest.mark.parametrize("accept", ACCEPTED)
def test_it_is_served_whatever_the_caller_accepts(alice: Caller, name: str, accept: str) -> None:
    generation, _ = put_in(alice, "succeeded")
    objects.put(generation.poster_key, POSTER, "image/jpeg")
    path = f"/v1/generations/{generation.pk}/{name}"
    assert alice.http.get(path, HTTP_ACCEPT=accept).status_code == 302
    assert alice.http.head(path, HTTP_ACCEPT=accept).status_code == 200


@pytest.mark.parametrize("accept", ["video/mp4", "image/avif"])
def test_an_error_is_a_problem_whatever_the_caller_accepts(alice: Caller, accept: str) -> None:
    generation, _ = put_in(alice, "queued")
    for name in ("video", "poster"):
        for call in (alice.http.get, alice.http.head):
            answer = call(f"/v1/generations/{generation.pk}/{name}", HTTP_ACCEPT=accept)
            assert (answer.status_code, answer["Content-Type"]) == (409, "application/problem+json")


@pytest.mark.parametrize(("name", "content"), [("video", VIDEO), ("poster", POSTER)])
def test_head_tells_what_get_would_download(alice: Caller, succeeded: Generation, name: str, content: bytes) -> None:
    path = f"/v1/generations/{succeeded.pk}/{name}"
    head, get = alice.http.head(path), alice.http.get(path)
    assert (head.status_code, head.content, get.status_code) == (200, b"", 302)
    assert "Location" not in head
    with httpx.Client() as http:
        whole = http.get(get["Location"])
        piece = http.get(get["Location"], headers={"Range": "bytes=1-3"})
    assert (whole.content, piece.status_code, piece.content) == (content, 206, content[1:4])
    for header in ("Content-Length", "Content-Type", "Accept-Ranges"):
        assert head[header] == whole.headers[header]


@pytest.mark.usefixtures("bucket")
def test_head_has_the_etag_of_the_video(alice: Caller) -> None:
    generation, _ = put_in(alice, "succeeded")
    assert alice.http.head(f"/v1/generations/{generation.pk}/video")["ETag"] == f'"{generation.video_sha256}"'


def test_head_is_for_the_tenant_alone(alice: Caller, bob: Caller, settings: Any) -> None:
    generation, _ = put_in(alice, "succeeded")
    for name in ("video", "poster"):
        assert bob.http.head(f"/v1/generations/{generation.pk}/{name}").status_code == 404
