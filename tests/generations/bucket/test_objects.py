"""Tests of objects and clients on moto: keys, bytes and errors. An S3 that checks signatures tests signed URLs."""

import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError

from generations.bucket import client, objects
from generations.bucket.errors import ObjectExists, StorageError
from generations.outbound.errors import FetchFailed


def test_an_object_is_read_back_as_it_was_put(bucket: Any) -> None:
    objects.put("a/b", b"content", "image/png")
    assert objects.read("a/b") == b"content"
    assert objects.list_keys("a/") == ["a/b"]
    assert bucket.head_object(Bucket="seedance-tests", Key="a/b")["ContentType"] == "image/png"


def test_reading_a_missing_object_raises_an_error(bucket: Any) -> None:
    assert objects.list_keys("nothing") == []
    with pytest.raises(StorageError, match="NoSuchKey"):
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


def test_the_bucket_is_created_once(bucket: Any, settings: Any) -> None:
    settings.S3_BUCKET = "created-here"
    client.ensure_bucket()
    client.ensure_bucket()
    assert bucket.head_bucket(Bucket="created-here")


def test_the_error_of_an_unreachable_s3_holds_no_url(settings: Any) -> None:
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    with pytest.raises(StorageError) as caught:
        objects.put("a", b"x", "image/png")
    assert "127.0.0.1" not in str(caught.value)
    assert not isinstance(caught.value.__cause__, ClientError)


def test_threads_that_arrive_at_once_create_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client takes 40 ms and some megabytes, and a web process has 32 threads."""
    created, all_arrived = list[bool](), threading.Barrier(8)

    class Lock:
        lock = threading.Lock()

        def __enter__(self) -> None:
            all_arrived.wait(5)
            self.lock.acquire()

        def __exit__(self, *error: object) -> None:
            self.lock.release()

    @cache
    def new_client(process_id: int, endpoint: str) -> object:
        created.append(Lock.lock.locked())
        return object()

    monkeypatch.setattr(client, "_lock", Lock())
    monkeypatch.setattr(client, "_new_client", new_client)
    threads = [threading.Thread(target=client.get_client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert created == [True]
