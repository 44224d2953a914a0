"""Fixtures of a real S3 behind a fault proxy, for test files that name this module in `pytest_plugins`."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.retries.quota import RetryQuota
from botocore.retries.standard import ExponentialBackoff

from generations.bucket import client
from tests.faults.copies import never
from tests.faults.proxy import Proxy


def in_front_of(seaweed: dict[str, str]) -> Proxy:
    """Return a proxy in front of the store."""
    return Proxy("127.0.0.1", int(seaweed["S3_ENDPOINT_URL"].rpartition(":")[2]))


@pytest.fixture(scope="session")
def between(seaweed: dict[str, str]) -> Iterator[Proxy]:
    """Return the proxy between the service and the store."""
    proxy = in_front_of(seaweed)
    yield proxy
    proxy.stop()


@pytest.fixture(scope="session")
def direct(seaweed: dict[str, str]) -> Any:
    """Return a client of the store that does not go through the proxy."""
    return boto3.client(
        "s3",
        endpoint_url=seaweed["S3_ENDPOINT_URL"],
        aws_access_key_id=seaweed["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=seaweed["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )


@pytest.fixture
def hurt(between: Proxy, real_bucket: None, settings: Any, monkeypatch: Any) -> Iterator[Proxy]:
    """Put the proxy before the service's storage. Retries come at once, and are never used up."""
    settings.S3_ENDPOINT_URL = between.url
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *args: 0.0)
    monkeypatch.setattr(RetryQuota, "acquire", lambda *args: True)
    between.counts.clear()
    yield between
    never(between)


@pytest.fixture(scope="session")
def stalling(seaweed: dict[str, str]) -> Iterator[Proxy]:
    """Return the proxy for faults that stall."""
    proxy = in_front_of(seaweed)
    yield proxy
    proxy.stop()


@pytest.fixture
def hanging(hurt: Proxy, stalling: Proxy, settings: Any, monkeypatch: Any) -> Iterator[Proxy]:
    """Put another proxy before the storage, and so another client, which waits only a moment."""
    monkeypatch.setattr(client, "READ_TIMEOUT_SECONDS", 0.15)
    monkeypatch.setattr(client, "MAX_ATTEMPTS", 1)
    settings.S3_ENDPOINT_URL = stalling.url
    stalling.counts.clear()
    yield stalling
    never(stalling)
