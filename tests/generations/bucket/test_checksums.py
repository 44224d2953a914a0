"""A wrong checksum is tried once: on a store that compares, on one that does not, and on one that is away."""

from typing import Any

import pytest

from generations.bucket import checksums, objects
from generations.bucket.errors import StorageError


@pytest.fixture(autouse=True)
def _not_tried_yet(monkeypatch: Any) -> None:
    monkeypatch.setattr(checksums, "_found", {})


@pytest.mark.usefixtures("real_bucket")
def test_a_real_store_compares_checksums_and_nothing_is_left() -> None:
    assert checksums.are_compared()
    assert objects.list_keys("doctor/") == []


def test_a_store_that_takes_a_wrong_checksum_is_known_by_one_try(bucket: Any, monkeypatch: Any) -> None:
    keys: list[str] = []
    put = objects.put
    monkeypatch.setattr(objects, "put", lambda key, *rest: keys.append(key) or put(key, *rest))
    assert not checksums.are_compared()
    assert not checksums.are_compared()
    assert keys == [checksums.KEY]
    assert objects.list_keys("doctor/") == []


def test_a_store_that_refuses_the_right_checksum_too_is_not_said_to_compare(bucket: Any, monkeypatch: Any) -> None:
    def refuse(*facts: Any) -> None:
        raise StorageError("S3 answered AccessDenied to PutObject", "AccessDenied", is_refusal=True)

    monkeypatch.setattr(objects, "put", refuse)
    with pytest.raises(StorageError, match="AccessDenied"):
        checksums.are_compared()
    monkeypatch.undo()


def test_a_store_that_is_away_is_tried_again(bucket: Any, settings: Any) -> None:
    settings.S3_BUCKET = "not-there"
    with pytest.raises(StorageError, match="NoSuchBucket"):
        checksums.are_compared()
    settings.S3_BUCKET = "seedance-tests"
    assert not checksums.are_compared()
