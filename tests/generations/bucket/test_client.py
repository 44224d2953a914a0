"""Tests of the S3 clients: one for a process, and errors without URLs."""

import threading
from functools import cache
from typing import Any

import pytest
from botocore.exceptions import ClientError

from generations.bucket import client, objects
from generations.bucket.errors import StorageError
from tests.support.factories import Caller, make_generation, make_image
from tests.support.patience import PATIENCE
from tests.support.stores import Store
from tests.support.upstream import Upstream
from tests.support.worker import take_step


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
            all_arrived.wait(PATIENCE)
            self.lock.acquire()

        def __exit__(self, *error: object) -> None:
            self.lock.release()

    @cache
    def new_client(session: Any, endpoint: str, addressing: str) -> object:
        created.append(Lock.lock.locked())
        return object()

    monkeypatch.setattr(client, "_lock", Lock())
    monkeypatch.setattr(client, "_new_client", new_client)
    threads = [threading.Thread(target=client.get_client) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert created == [True]


def test_what_a_store_says_is_cleaned_and_not_told_to_callers(
    alice: Caller, upstream: Upstream, settings: Any, bucket: Any
) -> None:
    g = make_generation(alice, image=make_image(alice.tenant))
    settings.S3_ENDPOINT_URL = upstream.url
    code = f"Refused {settings.AWS_SECRET_ACCESS_KEY}&#8238; {'x' * 500}"
    upstream.on_video = 403, {"Content-Type": "application/xml"}, f"<Error><Code>{code}</Code></Error>".encode()
    take_step(g)
    event = g.events.order_by("id").last()
    assert event is not None
    assert event.message == "the bucket does not answer"
    assert event.detail.startswith("S3 answered Refused [hidden] xxx")
    assert len(event.detail) < 200
    read = alice.http.get(f"/v1/generations/{g.pk}/events").content.decode()
    assert "Refused" not in read


def test_an_error_code_is_one_short_line_without_our_secrets(store: Store, settings: Any) -> None:
    """A store may answer what it likes, and its code stands in events' details and in the log."""
    store.refusal = f"Odd\n{settings.AWS_SECRET_ACCESS_KEY}{'x' * 500}"
    settings.S3_BUCKET = "another-bucket"
    with pytest.raises(StorageError) as caught:
        objects.read("a")
    assert str(caught.value).startswith("S3 answered Odd [hidden]x")
    assert len(caught.value.code) <= client.MAX_CODE_CHARS
