"""Tests of objects on moto: keys, bytes and errors. An S3 that checks signatures tests signed URLs."""

from typing import Any

import pytest

from generations.bucket import objects
from generations.bucket.errors import ObjectExists, StorageError
from generations.outbound.errors import FetchFailed
from tests.support.stores import put_file


def test_an_object_is_read_back_as_it_was_put(bucket: Any) -> None:
    objects.put("a/b", b"content", "image/png")
    assert objects.read("a/b") == b"content"
    assert objects.list_keys("a/") == ["a/b"]
    assert bucket.head_object(Bucket="seedance-tests", Key="a/b")["ContentType"] == "image/png"


def test_reading_a_missing_object_raises_an_error(bucket: Any) -> None:
    assert objects.list_keys("nothing") == []
    with pytest.raises(StorageError, match="no such object"):
        objects.read("nothing")


def test_a_deleted_object_is_not_listed(bucket: Any) -> None:
    objects.put("a", b"x", "image/png")
    objects.delete("a")
    assert objects.list_keys("a") == []


def test_a_file_is_stored_whole(bucket: Any) -> None:
    content = b"".join(bytes([number]) * 1_000_000 for number in range(20))
    put_file("v.mp4", content)
    assert objects.read("v.mp4") == content


def test_no_key_is_ever_overwritten_by_a_file(bucket: Any) -> None:
    put_file("v.mp4", b"first")
    with pytest.raises(ObjectExists):
        put_file("v.mp4", b"other")
    assert objects.read("v.mp4") == b"first"


def end() -> None:
    raise FetchFailed("the lease is lost")


@pytest.mark.parametrize("checks", [(end,), (bool, end)], ids=["before a block", "before the last block"])
@pytest.mark.parametrize("size", [1, 10_000_000])
def test_an_upload_that_is_ended_leaves_no_object_and_says_why(bucket: Any, checks: Any, size: int) -> None:
    with pytest.raises(FetchFailed, match="the lease is lost"):
        put_file("v.mp4", bytes(size), *checks)
    assert objects.list_keys("v") == []


def test_a_missing_bucket_is_an_error_and_not_a_missing_object(bucket: Any, settings: Any) -> None:
    settings.S3_BUCKET = "not-there"
    with pytest.raises(StorageError, match="NoSuchBucket"):
        objects.put("a", b"x", "image/png")
