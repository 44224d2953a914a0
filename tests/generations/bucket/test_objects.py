"""Tests of objects on moto: keys, bytes and errors. An S3 that checks signatures tests signed URLs."""

from collections.abc import Iterator
from typing import Any

import pytest

from generations.bucket import objects
from generations.bucket.errors import ObjectExists, StorageError
from generations.outbound.errors import FetchFailed


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


def test_a_stream_is_stored_whole(bucket: Any) -> None:
    content = [bytes([number]) * 1_000_000 for number in range(20)]
    objects.put_stream("v.mp4", iter(content), 20_000_000, "video/mp4")
    assert objects.read("v.mp4") == b"".join(content)


def test_no_key_is_ever_overwritten_by_a_stream(bucket: Any) -> None:
    objects.put_stream("v.mp4", iter([b"first"]), 5, "video/mp4")
    with pytest.raises(ObjectExists):
        objects.put_stream("v.mp4", iter([b"other"]), 5, "video/mp4")
    assert objects.read("v.mp4") == b"first"


def test_a_stream_that_breaks_leaves_no_object_and_says_why(bucket: Any) -> None:
    def broken() -> Iterator[bytes]:
        yield b"12345"
        raise FetchFailed("cut off")

    with pytest.raises(FetchFailed, match="cut off"):
        objects.put_stream("v.mp4", broken(), 10, "video/mp4")
    assert objects.list_keys("v") == []


def test_a_missing_bucket_is_an_error_and_not_a_missing_object(bucket: Any, settings: Any) -> None:
    settings.S3_BUCKET = "not-there"
    with pytest.raises(StorageError, match="NoSuchBucket"):
        objects.put("a", b"x", "image/png")
