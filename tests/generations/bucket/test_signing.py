"""Tests that signed URLs equal those of botocore's own signer, parameter by parameter."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import botocore.auth
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from generations.bucket import signing

ADDRESSES = [
    "https://videos.s3.eu-central-1.amazonaws.com/",
    "http://127.0.0.1:9000/videos/",
    "http://store.internal:80/videos/",
    "https://store.internal:443/a/videos/",
    "https://store.internal:8443/videos/",
]
KEYS = ["videos/1/2026/a.mp4", "one two+three&four=5?%23.mp4", "größe/~tilde_-.mp4", "a//b/../c.mp4", "x'(*)!.mp4"]
ANSWERS = [{}, {"response-content-type": "video/mp4", "response-content-disposition": "inline; filename=a%20b~.mp4"}]
CREDENTIALS = [ReadOnlyCredentials("AKIA", "se/cr+et", None), ReadOnlyCredentials("ASIA/x", "s", "to/ke+n==")]
AT = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("address", ADDRESSES)
def test_a_url_is_signed_as_botocore_signs(
    address: str, key: str, answer: dict[str, str], credentials: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: AT.replace(tzinfo=None))
    request = AWSRequest("GET", address + quote(key, safe="/~"), params=answer)
    S3SigV4QueryAuth(credentials, "s3", "eu-central-1", 3600).add_auth(request)
    theirs = urlsplit(str(request.url))
    ours = urlsplit(signing.presign(address, key, answer, credentials, "eu-central-1", AT, 3600))
    assert ours[:3] == theirs[:3]
    assert parse_qs(ours.query, strict_parsing=True) == parse_qs(theirs.query, strict_parsing=True)
    assert len(parse_qs(ours.query)["X-Amz-Signature"][0]) == 64


def test_a_changed_secret_signs_from_then_on() -> None:
    first, second = (
        signing.presign(ADDRESSES[0], "k", {}, ReadOnlyCredentials("A", secret, None), "us-east-1", AT, 60)
        for secret in ("one", "two")
    )
    assert first.rpartition("=")[2] != second.rpartition("=")[2]
