"""A bucket in the host or in the path of its URLs: stores that take one of the two alone, and what doctor says."""

import socket
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from generations.bucket import client, objects, self_test, signed_urls
from generations.bucket.errors import StorageError
from tests.support.stores import Store, put_file

Start = Callable[..., Store]
AWS = "https://seedance-tests.s3.amazonaws.com/"


@pytest.fixture
def store(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Yield a function that starts a store, to which the settings point."""
    resolve, started = socket.getaddrinfo, list[Store]()

    def resolve_localhost(host: Any, *args: Any, **options: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith(".localhost") else host, *args, **options)

    def start(*args: Any, **options: Any) -> Store:
        started.append(Store(*args, **options))
        settings.S3_ENDPOINT_URL = settings.S3_PUBLIC_URL = started[-1].url
        return started[-1]

    monkeypatch.setattr(socket, "getaddrinfo", resolve_localhost)
    yield start
    for one in started:
        one.stop()


def read(url: str) -> bytes:
    """Return what a signed URL gives."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return bytes(answer.read())


def sign(key: str = "a/b.mp4") -> str:
    return signed_urls.signer().sign(key, content_type="video/mp4", file_name="b.mp4")


@pytest.mark.parametrize("in_host", [True, False])
def test_a_bucket_is_used_and_signed_for_where_the_store_takes_its_name(
    in_host: bool, store: Start, settings: Any
) -> None:
    one = store(bucket_in_host=in_host)
    settings.S3_ADDRESSING = "virtual" if in_host else "path"
    objects.put("a/b.mp4", b"content", "video/mp4")
    put_file("a/c.mp4", b"more")
    assert objects.read("a/b.mp4") == b"content"
    assert objects.list_keys("a/") == ["a/b.mp4", "a/c.mp4"]
    assert read(sign()) == b"content"
    objects.delete("a/b.mp4")
    assert not objects.exists("a/b.mp4")
    assert list(one.objects) == ["a/c.mp4"]
    assert [*self_test.run("doctor/1")][-1] == "DeleteObject"


def test_an_address_that_has_the_bucket_before_it_is_the_same_address(store: Start, settings: Any) -> None:
    one = store()
    settings.S3_ADDRESSING = "virtual"
    settings.S3_ENDPOINT_URL = settings.S3_PUBLIC_URL = one.url.replace("://", "://seedance-tests.")
    objects.put("a/b.mp4", b"content", "video/mp4")
    assert read(sign()) == b"content"


@pytest.mark.parametrize(
    ("addressing", "public", "bucket_url"),
    [
        ("auto", "", AWS),
        ("virtual", "", AWS),
        ("auto", "http://minio:9000", "http://minio:9000/seedance-tests/"),
        ("virtual", "http://minio:9000", "http://seedance-tests.minio:9000/"),
        ("path", "https://s3.example.com/x", "https://s3.example.com/x/seedance-tests/"),
        ("auto", "https://oss-cn-beijing.aliyuncs.com", "https://seedance-tests.oss-cn-beijing.aliyuncs.com/"),
        ("auto", "https://cos.ap-tokyo.myqcloud.com", "https://seedance-tests.cos.ap-tokyo.myqcloud.com/"),
        ("auto", "https://tos-s3-cn-beijing.volces.com", "https://seedance-tests.tos-s3-cn-beijing.volces.com/"),
        ("path", "https://oss-cn-beijing.aliyuncs.com", "https://oss-cn-beijing.aliyuncs.com/seedance-tests/"),
        ("virtual", "https://seedance-tests.example.com", "https://seedance-tests.example.com/"),
        ("virtual", "http://127.0.0.1:9000", "http://127.0.0.1:9000/seedance-tests/"),
    ],
)
def test_every_signed_url_and_the_panels_policy_name_the_same_place(
    addressing: str, public: str, bucket_url: str, settings: Any
) -> None:
    settings.S3_ADDRESSING, settings.S3_PUBLIC_URL = addressing, public
    assert sign().startswith(f"{bucket_url}a/b.mp4?")
    assert f"{signed_urls.public_origin()}/" == bucket_url[: bucket_url.index("/", 8) + 1]


def test_the_panels_policy_needs_no_credentials(settings: Any, no_credentials: None) -> None:
    assert signed_urls.public_origin() == "https://seedance-tests.s3.amazonaws.com"
    with pytest.raises(StorageError):
        sign()


@pytest.mark.parametrize("code", ["SecondLevelDomainForbidden", "PathStyleDomainForbidden", "InvalidPathAccess", "Odd"])
def test_a_store_that_refuses_the_path_is_told_apart_from_wrong_keys(code: str, store: Start, settings: Any) -> None:
    store(code)
    settings.S3_ADDRESSING = "path"
    with pytest.raises(StorageError) as refused:
        client.ping()
    fact, fix = self_test.explain_refusal(refused.value)
    assert code in fact
    assert fix == "Set S3_ADDRESSING=virtual: the store takes the bucket's name in its host."


def test_a_store_that_takes_the_path_alone_is_named_too(store: Start, settings: Any) -> None:
    store("NoSuchBucket", bucket_in_host=False)
    settings.S3_ADDRESSING = "virtual"
    with pytest.raises(StorageError) as refused:
        client.ping()
    assert self_test.explain_refusal(refused.value)[1].startswith("Set S3_ADDRESSING=path")


def test_a_refusal_with_a_known_code_is_named_where_the_host_cannot_be_tried(store: Start, settings: Any) -> None:
    one = store("PathStyleDomainForbidden")
    settings.S3_ENDPOINT_URL = one.url.replace("store.localhost", "127.0.0.1")
    settings.S3_ADDRESSING = "path"
    with pytest.raises(StorageError) as refused:
        objects.put("a", b"x", "video/mp4")
    assert self_test.explain_refusal(refused.value)[1].startswith("Set S3_ADDRESSING=virtual")


def test_a_missing_bucket_is_no_matter_of_addressing(bucket: Any, settings: Any) -> None:
    settings.S3_BUCKET = "missing-bucket"
    with pytest.raises(StorageError) as refused:
        client.ping()
    assert self_test.explain_refusal(refused.value) == ("S3 answered 404 to HeadBucket (NoSuchBucket)", "")
