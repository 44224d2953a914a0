"""The S3 clients of a process, how they address the bucket, and the bridge by which boto3's errors become ours."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Literal, cast
from urllib.parse import urlsplit

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError
from django.conf import settings

from generations import aws
from generations.bucket.errors import ObjectExists, ObjectMissing, StorageError
from generations.foreign_text import clean
from generations.outbound import http_dates

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

# Two attempts stay below a worker step's lease of 90 s: a stalled call must not act after another worker has the row.
CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS, MAX_ATTEMPTS = 5.0, 25.0, 2
MAX_POOL_CONNECTIONS = 64
MAX_CODE_CHARS = 100  # of an error's code, which the store or something in front of it chose

Addressing = Literal["path", "virtual"]
# Stores that are known to take the bucket in the host alone: Alibaba's OSS, Tencent's COS, and TOS.
VIRTUAL_HOST_DOMAINS = (".aliyuncs.com", ".myqcloud.com", ".myqcloud.com.cn", ".volces.com", ".bytepluses.com")
# What OSS, COS and TOS answer where the bucket is not in the host:
# https://www.alibabacloud.com/help/en/oss/support/0003-00000001,
# https://www.tencentcloud.com/document/product/436/75050.
PATH_STYLE_REFUSED = ("SecondLevelDomainForbidden", "PathStyleDomainForbidden", "InvalidPathAccess")

# Refusals that have nothing to do with the object: the bucket, the keys, the clock or the load.
OF_ALL_CALLS = (
    *("NoSuchBucket", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"),
    *("RequestTimeTooSkewed", "RequestTimeout", "SlowDown"),
    *PATH_STYLE_REFUSED,
)

_lock = threading.Lock()


def get_client(*, public: bool = False, addressing: Addressing | None = None) -> "S3Client":
    """Return this process's client of the endpoint, or of the public endpoint that signed URLs name.

    `addressing` is `path` or `virtual`, and by default what S3_ADDRESSING says. A new client costs 6 to 9 ms, and
    creating one is not thread-safe.
    """
    session, credentials = aws.bucket_session()
    credentials.load()  # outside the lock: an agent may be slow
    endpoint = settings.S3_PUBLIC_URL if public else settings.S3_ENDPOINT_URL
    with _lock:
        return _new_client(session, endpoint, addressing or addressing_of(endpoint))


def addressing_of(endpoint: str) -> Addressing:
    """Return `virtual` if the bucket is part of the endpoint's host, `path` if it is the first part of the path.

    With S3_ADDRESSING=auto it is part of the host at AWS and at stores that take nothing else.
    """
    if settings.S3_ADDRESSING != "auto":
        return cast(Addressing, settings.S3_ADDRESSING)
    host = urlsplit(endpoint).hostname or ""
    return "virtual" if not endpoint or host.endswith(VIRTUAL_HOST_DOMAINS) else "path"


def bucket_url(session: boto3.session.Session, *, public: bool) -> str:
    """Return the bucket's URL with its slash, as the client builds it."""
    endpoint = settings.S3_PUBLIC_URL if public else settings.S3_ENDPOINT_URL
    return _bucket_url(session, endpoint, settings.S3_ADDRESSING, settings.S3_BUCKET)


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


def explain_refusal() -> tuple[str, str]:
    """Return S3's error code where HeadBucket fails, and the other way to address the bucket, or "" for each.

    The answer to a HEAD has no body, and so no code. The other way is named if the bucket answers to it, or if the code
    says so.
    """
    code, present = "", addressing_of(settings.S3_ENDPOINT_URL)
    other: Addressing = "path" if present == "virtual" else "virtual"
    try:
        with translate_errors():
            get_client().list_objects_v2(Bucket=settings.S3_BUCKET, MaxKeys=1)
    except StorageError as error:
        code = error.code
    if present == "path" and code in PATH_STYLE_REFUSED:
        return code, other
    with suppress(StorageError), translate_errors():
        get_client(addressing=other).head_bucket(Bucket=settings.S3_BUCKET)
        return code, other
    return code, ""


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
        code = clean(error.response.get("Error", {}).get("Code", ""), MAX_CODE_CHARS)
        if code == "PreconditionFailed":
            raise ObjectExists(code) from error
        if code == "NoSuchKey":
            raise ObjectMissing(f"the bucket has no such object ({error.operation_name})", code) from error
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        is_refusal = 400 <= status < 500 and status != 429 and code not in OF_ALL_CALLS
        sentence = f"S3 answered {code or 'an error'} to {error.operation_name}"
        raise StorageError(sentence, code, is_refusal=is_refusal) from error
    except (BotoCoreError, ResponseParserError) as error:
        # The error's text may hold a URL, and the URL a signature.
        raise StorageError(type(error).__name__) from error


@cache
def _new_client(session: boto3.session.Session, endpoint: str, addressing: Addressing) -> "S3Client":
    """Create a client of a session, which belongs to one process and has its credentials."""
    config = Config(
        signature_version="s3v4",
        s3={
            "addressing_style": addressing,
            "payload_signing_enabled": False,  # a video is hashed once, while it is downloaded
        },
        # Each put names the SHA-256 of its content itself.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": MAX_ATTEMPTS, "mode": "standard"},
        max_pool_connections=MAX_POOL_CONNECTIONS,
    )
    return session.client("s3", endpoint_url=_without_bucket(endpoint, addressing), config=config)


@cache
def _bucket_url(session: boto3.session.Session, endpoint: str, setting: str, bucket: str) -> str:
    """Return the bucket's URL by S3_ADDRESSING, the `setting`. It needs no credentials."""
    addressing = addressing_of(endpoint)
    config = Config(signature_version=UNSIGNED, s3={"addressing_style": addressing})
    with _lock:
        client = session.client("s3", endpoint_url=_without_bucket(endpoint, addressing), config=config)
    return client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}).removesuffix("k")


def _without_bucket(endpoint: str, addressing: Addressing) -> str | None:
    """Return the endpoint, without the bucket before its host: many stores show their address with the bucket."""
    prefix = f"://{settings.S3_BUCKET}."
    return (endpoint.replace(prefix, "://", 1) if addressing == "virtual" else endpoint) or None
