"""The door to S3: puts, streams, lists, reads and signs. The only user of boto3."""

import base64
import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from mmap import mmap
from typing import IO, TYPE_CHECKING, cast
from urllib.parse import quote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.parsers import ResponseParserError
from django.conf import settings
from django.utils import timezone

from generations.bucket import signing
from generations.errors import ObjectExists, StorageError
from generations.outbound import http_dates

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CHUNK = 64 * 1024  # bytes; sixteen copies at once hold several each
READ_WITHIN = 40.0  # seconds for a picture: two of them are read within a step's lease
# Two tries stay below a step's lease of 90 s: a stalled call must not act after another took the turn.
CONNECT_TIMEOUT, READ_TIMEOUT, TRIES = 5.0, 25.0, 2  # seconds

_lock = threading.Lock()


class Stream:
    """A file-like view of an iterator of chunks, for boto3. It can be read once and never rewound."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, memoryview(b"")
        self.failure: Exception | None = None  # boto3 wraps what a stream raises; this is what it raised

    def read(self, size: int = -1) -> bytes:
        """`size` bytes, fewer only at the end."""
        pieces, wanted = [], size if size >= 0 else sys.maxsize
        while wanted:
            self._rest = self._rest or memoryview(self._next())
            if not self._rest:
                break
            pieces.append(self._rest[:wanted])
            self._rest = self._rest[len(pieces[-1]) :]
            wanted -= len(pieces[-1])
        return b"".join(pieces)

    def _next(self) -> bytes:
        try:
            return next(filter(None, self._chunks), b"")
        except Exception as error:
            self.failure = error
            raise


def put(key: str, content: bytes | mmap, content_type: str, sha256: str = "") -> None:
    """Writes small content whole; S3 refuses it where it came with other bytes. `sha256`: where it is known already.

    The same key always gets the same content, so a second put changes nothing.
    """
    digest = bytes.fromhex(sha256) if sha256 else hashlib.sha256(content).digest()
    with _translated():
        _client().put_object(
            Bucket=settings.S3_BUCKET,
            Key=key,
            Body=cast(IO[bytes], content),  # a file's mapping has all that boto3 asks of a file
            ContentType=content_type,
            ChecksumSHA256=base64.b64encode(digest).decode(),
        )


def put_stream(key: str, chunks: Iterator[bytes], length: int, content_type: str) -> None:
    """Writes a stream of exactly `length` bytes by one PUT, in constant memory.

    Never in parts: a PUT is there whole or not at all, leaves nothing behind, and can refuse to overwrite. S3 takes
    5 GiB so: https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html.
    Raises ObjectExists where the key is taken, StorageTrouble where S3 fails, and what `chunks` raises.
    """
    stream = Stream(chunks)
    try:
        with _translated():
            _client().put_object(
                Bucket=settings.S3_BUCKET,
                Key=key,
                Body=stream,  # type: ignore[arg-type]
                ContentLength=length,
                ContentType=content_type,
                IfNoneMatch="*",
            )
    except StorageError:
        if stream.failure:
            raise stream.failure from None
        raise


def read(key: str) -> bytes:
    """The whole object. Raises StorageTrouble, also where it has not come within READ_WITHIN."""
    ends, pieces = time.monotonic() + READ_WITHIN, []
    for chunk in read_stream(key):
        if time.monotonic() > ends:
            raise StorageError("the object comes too slowly")
        pieces.append(chunk)
    return b"".join(pieces)


def read_stream(key: str) -> Iterator[bytes]:
    """The object's bytes in chunks."""
    with _translated():
        body = _client().get_object(Bucket=settings.S3_BUCKET, Key=key)["Body"]
        try:
            yield from body.iter_chunks(CHUNK)
        finally:
            body.close()


def exists(key: str) -> bool:
    with _translated():
        try:
            _client().head_object(Bucket=settings.S3_BUCKET, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
    return True


def keys(prefix: str) -> list[str]:
    """Return all keys that begin so."""
    return [stored.key for page in pages([prefix]) for stored in page]


@dataclass(frozen=True)
class Stored:
    """One object of the bucket."""

    key: str
    size: int  # bytes
    modified: datetime


def pages(prefixes: Sequence[str], *, after: str = "") -> Iterator[list[Stored]]:
    """The objects under those prefixes, in ascending order of prefixes and keys, a page at a time; from `after` on."""
    for prefix in prefixes:
        if after and not after.startswith(prefix) and after > prefix:
            continue
        start = after if after.startswith(prefix) else ""
        with _translated():
            listed = _client().get_paginator("list_objects_v2")
            for page in listed.paginate(Bucket=settings.S3_BUCKET, Prefix=prefix, StartAfter=start):
                if found := page.get("Contents"):
                    yield [Stored(one["Key"], one["Size"], one["LastModified"]) for one in found]


def abort_uploads(before: datetime, *, dry: bool) -> int:
    """Abort up to 1,000 uploads in parts that were begun before then and not ended. Return how many there were; `dry`:
    nothing is changed."""
    with _translated():
        found = _client().list_multipart_uploads(Bucket=settings.S3_BUCKET).get("Uploads", [])
        old = [upload for upload in found if upload["Initiated"] < before]
        for upload in [] if dry else old:
            _client().abort_multipart_upload(Bucket=settings.S3_BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    return len(old)


def delete_all(keys: Sequence[str]) -> None:
    """Delete up to 1,000 objects: S3 takes no more in one call. Raise StorageTrouble where S3 kept one, with its own
    reason."""
    if not keys:  # S3 refuses a call that names none
        return
    with _translated():
        said = _client().delete_objects(
            Bucket=settings.S3_BUCKET, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
    if errors := said.get("Errors"):
        raise StorageError(f"{len(errors)} objects could not be deleted: {errors[0].get('Code')}")


def delete(key: str) -> None:
    with _translated():
        _client().delete_object(Bucket=settings.S3_BUCKET, Key=key)


def signed_url(key: str, *, content_type: str, file_name: str) -> str:
    """A GET of the object, signed now, good for SIGNED_URL_TTL seconds, that answers with type and file name."""
    with _translated():
        client = _client(public=True)
        # The client's own way to a signed URL finds its endpoint, and makes a request, anew for each.
        credentials = client._request_signer._credentials  # type: ignore[attr-defined]
        if credentials is None:
            raise NoCredentialsError
        answer = {
            "response-content-type": content_type,
            "response-content-disposition": f"inline; filename={quote(file_name)}",
        }
        return signing.url(
            _address(client, settings.S3_BUCKET),
            key,
            answer,
            credentials.get_frozen_credentials(),  # a role's are other ones each hour
            client.meta.region_name,
            timezone.now(),
            settings.SIGNED_URL_TTL,
        )


@cache
def _address(client: "S3Client", bucket: str) -> str:
    """Of the bucket, with its slash, by the client's own rules."""
    url = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"})
    return url.partition("?")[0].removesuffix("k")


def public_origin() -> str:
    """Of every signed URL: https://bucket.s3.eu-central-1.amazonaws.com, or S3_PUBLIC_URL's."""
    parts = urlsplit(signed_url("any", content_type="", file_name=""))
    return f"{parts.scheme}://{parts.netloc}"


def signed_until() -> datetime:
    """When a URL signed now expires."""
    return timezone.now() + timedelta(seconds=settings.SIGNED_URL_TTL)


def get_ready() -> None:
    """Makes what the first who reads or stores anything would wait for. Raises StorageTrouble."""
    with _translated():
        _client()
        _client(public=True)


def ping() -> datetime | None:
    """Return what time it is there, as its answer says. Raise StorageTrouble where the bucket is not there, or can not
    be listed, which the service has to do."""
    with _translated():
        answer = _client().head_bucket(Bucket=settings.S3_BUCKET)
    return http_dates.parse_date(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))


def rehearse(key: str) -> Iterator[str]:
    """Everything that the service does with the bucket, under a key of the caller's: each step's name before it is
    done. Raises StorageTrouble at the step that is not allowed, or gives other bytes; the object is deleted at the end.
    """
    content = os.urandom(1024)
    try:
        yield "PutObject"
        put(key, content, "application/octet-stream")
        yield "PutObject that refuses to overwrite"
        with suppress(ObjectExists):
            put_stream(key, iter([content]), len(content), "application/octet-stream")
            raise StorageError("S3 overwrote what was there, although it was told not to (If-None-Match)")
        yield "GetObject"
        if read(key) != content:
            raise StorageError("S3 gave other bytes than were put")
        yield "ListBucket"
        if key not in keys(key):
            raise StorageError("S3 does not list what was put")
    finally:
        delete(key)
    yield "DeleteObject"
    if exists(key):
        raise StorageError("S3 still has what was deleted")


def ensure_bucket() -> None:
    """Makes the bucket where it is not there: for the local S3, where nobody else does."""
    with _translated(), suppress(_client().exceptions.BucketAlreadyOwnedByYou):
        _client().create_bucket(Bucket=settings.S3_BUCKET)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "PreconditionFailed":
            raise ObjectExists(code) from error
        raise StorageError(f"S3 answered {code or 'an error'} to {error.operation_name}") from error
    except (BotoCoreError, ResponseParserError) as error:
        # Its text may hold a URL, and the URL a signature.
        raise StorageError(type(error).__name__) from error


def _client(*, public: bool = False) -> "S3Client":
    """One client a process and endpoint: a new one costs 6 to 9 ms, and making it is not thread-safe."""
    with _lock:
        return _new_client(os.getpid(), settings.S3_PUBLIC_URL if public else settings.S3_ENDPOINT_URL)


@cache
def _new_client(process_id: int, endpoint: str) -> "S3Client":
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
                "payload_signing_enabled": False,  # a stream can not be read twice to be signed
            },
            # A stream has no checksum before its end; what was stored is read back and hashed instead.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"total_max_attempts": TRIES, "mode": "standard"},
            max_pool_connections=64,
        ),
    )
