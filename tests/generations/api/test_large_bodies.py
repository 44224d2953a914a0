"""Large bodies: as many are read at once as memory allows, and the others are refused with `Retry-After`."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from generations.api import large_bodies
from tests.http_client import Client
from tests.support.factories import Caller
from tests.support.images import base64_of

pytestmark = pytest.mark.one_database

APIS = [("/v1/generations", "too_many_large_bodies"), ("/v3/async/seedance-v1-lite-i2v", 503)]
LARGE = {"image": base64_of(b"x" * 4 * 1024**2), "resolution": "480p"}  # no image: the body is refused once it was read
SMALL = {"image": base64_of(b"x" * 1024), "resolution": "480p"}


@pytest.fixture
def full() -> Any:
    """Reserve the whole budget, as uploads that are being checked do."""
    taken = 0
    while large_bodies._budget.reserve(1):
        taken += 1
    yield
    large_bodies._budget.release(taken)


@pytest.mark.parametrize(("path", "code"), APIS)
def test_one_large_body_too_many_is_refused_in_the_format_of_its_api(
    alice: Caller, full: Any, path: str, code: Any
) -> None:
    answer = alice.http.post(path, LARGE, format="json")
    assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "5", code)


@pytest.mark.parametrize(("path", "code"), APIS)
def test_small_bodies_do_not_wait_for_large_ones(alice: Caller, full: Any, path: str, code: Any) -> None:
    assert alice.http.post(path, SMALL, format="json").status_code == 400


@pytest.mark.parametrize("content", [LARGE, {**LARGE, "resolution": "8k"}, {"x": "y" * 5 * 1024**2}])
def test_the_budget_is_released_after_any_answer(alice: Caller, content: Any) -> None:
    for _ in range(10):
        assert alice.http.post("/v1/generations", content, format="json").status_code == 400


def test_a_form_takes_a_quarter_of_what_json_takes(alice: Caller, full: Any) -> None:
    large = {"image": SimpleUploadedFile("a.jpg", b"x" * 5 * 1024**2), "resolution": "480p"}
    assert alice.http.post("/v1/generations", large, format="multipart").status_code == 503
    large_bodies._budget.release(1)
    try:
        assert alice.http.post("/v1/generations", LARGE, format="json").status_code == 503
        large["image"].seek(0)
        assert alice.http.post("/v1/generations", large, format="multipart").status_code == 400
    finally:
        assert large_bodies._budget.reserve(1)


def test_the_budget_is_released_after_an_unexpected_error(alice: Caller, settings: Any) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = "no number"
    for _ in range(10):
        assert alice.http.post("/v1/generations", LARGE, format="json").status_code == 500


def test_a_caller_without_a_key_takes_nothing_of_the_budget(db: None, full: Any) -> None:
    assert Client().post("/v1/generations", LARGE, format="json").status_code == 401
