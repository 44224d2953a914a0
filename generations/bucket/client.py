"""The S3 clients of a process, and the bridge by which boto3's errors become ours."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from django.conf import settings

from generations.bucket.errors import ObjectExists, ObjectMissing, StorageError
from generations.outbound import http_dates

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Two attempts stay below a worker step's lease of 90 s: a stalled call must not act after another worker has the row.
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, MAX_ATTEMPTS = 5.0, 25.0, 2
MAX_POOL_CONNECTIONS = 64

_lock = threading.Lock()


def get_client(*, public: bool = False) -> "S3Client":
    """Return this process's client of the endpoint, or of the public endpoint that signed URLs name.

    A new client costs 6 to 9 ms, and creating one is not thread-safe.
    """
    with _lock:
        return _new_client(os.getpid(), settings.S3_PUBLIC_URL if public else settings.S3_ENDPOINT_URL)


def create_clients() -> None:
    """Create both clients now, so that no request waits for them. Raise StorageError."""
    with translate_errors():
        get_client()
        get_client(public=True)


def ping() -> datetime | None:
    """Return the time at S3 by the Date of its answer; None if the answer has no date.

    Raise StorageError if the bucket does not exist or may not be listed, which the service has to do.
    """
    with translate_errors():
        answer = get_client().head_bucket(Bucket=settings.S3_BUCKET)
    return http_dates.parse_date(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))


def ensure_bucket() -> None:
    """Create the bucket if it does not exist. Only a local S3 needs this; elsewhere Terraform creates the bucket."""
    with translate_errors(), suppress(get_client().exceptions.BucketAlreadyOwnedByYou):
        get_client().create_bucket(Bucket=settings.S3_BUCKET)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise StorageError or ObjectExists in place of boto3's errors."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "PreconditionFailed":
            raise ObjectExists(code) from error
        if code == "NoSuchKey":
            raise ObjectMissing(f"the bucket has no such object ({error.operation_name})") from error
        raise StorageError(f"S3 answered {code or 'an error'} to {error.operation_name}") from error
    except (BotoCoreError, ResponseParserError) as error:
        # The error's text may hold a URL, and the URL a signature.
        raise StorageError(type(error).__name__) from error


@cache
def _new_client(process_id: int, endpoint: str) -> "S3Client":
    """Create a client. The process id is part of the cache's key, since clients must not be shared across a fork."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint or None,
        region_name=settings.S3_REGION,
        aws_access_key_id=settings.AWS_ACCESS_KEY_ID or None,
        aws_secret_access_key=settings.AWS_SECRET_ACCESS_KEY or None,
        config=Config(
            signature_version="s3v4",
            s3={
                "addressing_style": "path" if endpoint else "virtual",
                "payload_signing_enabled": False,  # a stream cannot be read twice to be signed
            },
            # A stream has no checksum before its end; what was stored is read back and hashed instead.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            retries={"total_max_attempts": MAX_ATTEMPTS, "mode": "standard"},
            max_pool_connections=MAX_POOL_CONNECTIONS,
        ),
    )
