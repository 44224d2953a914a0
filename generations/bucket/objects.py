"""Put, read, list and delete objects of the bucket. Each function raises StorageError if S3 fails."""

import base64
import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from mmap import mmap
from typing import IO, NamedTuple, cast

from botocore.exceptions import ClientError
from django.conf import settings

from generations import foreign_text
from generations.bucket.client import MAX_CODE_CHARS, get_client, translate_errors
from generations.bucket.errors import StorageError
from generations.bucket.upload import Upload

CHUNK_BYTES = 64 * 1024  # sixteen copies at once hold several each
MAX_DELETED_AT_ONCE = 1000  # as many as S3 takes in one call
MAX_READ_SECONDS = 40.0  # for an input image: two of them are read within a worker step's lease


def put(key: str, content: bytes | mmap, content_type: str, sha256: str = "") -> None:
    """Store small content whole. `sha256` is its digest in hex, if that is known already.

    S3 refuses bytes that do not match the digest. The same key always gets the same content, so a second put changes
    nothing.
    """
    with translate_errors():
        get_client().put_object(
            Bucket=settings.S3_BUCKET,
            Key=key,
            Body=cast(IO[bytes], content),  # an mmap has all that boto3 asks of a file
            ContentType=content_type,
            ChecksumSHA256=_base64_of(sha256 or hashlib.sha256(content).hexdigest()),
        )


def put_file(
    key: str,
    file: IO[bytes],
    size: int,
    sha256: str,
    content_type: str,
    check: Callable[[], object] = bool,
    before_last: Callable[[], object] = bool,
) -> bool:
    """Store a file of `size` bytes by one PUT, in constant memory. `sha256` is its digest in hex, which S3 compares.

    Return whether the answer states that digest, as S3 does of what it has stored. Parts are never used: a PUT stores
    all or nothing, leaves nothing behind, and can refuse to overwrite. One PUT may have 5 GiB:
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html.
    `check` is called before each block, and `before_last` before the last one. Raise ObjectExists if the key is taken,
    and what these two raise.
    """
    file.seek(0)
    upload, digest = Upload(file, size, check, before_last), _base64_of(sha256)
    try:
        with translate_errors():
            answer = get_client().put_object(
                Bucket=settings.S3_BUCKET,
                Key=key,
                Body=cast(IO[bytes], upload),  # it has all that boto3 asks of a file
                ContentLength=size,
                ContentType=content_type,
                ChecksumSHA256=digest,
                IfNoneMatch="*",
            )
    except StorageError:
        if upload.failure:
            raise upload.failure from None
        raise
    return answer.get("ChecksumSHA256") == digest


def read(key: str) -> bytes:
    """Return the whole object. Raise StorageError, also if reading takes more than MAX_READ_SECONDS."""
    ends_at, pieces = time.monotonic() + MAX_READ_SECONDS, []
    for chunk in read_stream(key):
        if time.monotonic() > ends_at:
            raise StorageError("the object comes too slowly")
        pieces.append(chunk)
    return b"".join(pieces)


def read_stream(key: str) -> Iterator[bytes]:
    """Yield the object's bytes in chunks."""
    with translate_errors():
        body = get_client().get_object(Bucket=settings.S3_BUCKET, Key=key)["Body"]
        try:
            yield from body.iter_chunks(CHUNK_BYTES)
        finally:
            body.close()


def exists(key: str) -> bool:
    """Return whether the bucket has an object with this key."""
    with translate_errors():
        try:
            get_client().head_object(Bucket=settings.S3_BUCKET, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
    return True


def size(key: str) -> int:
    """Return the object's size in bytes. Raise StorageError, also if there is no such object."""
    with translate_errors():
        return int(get_client().head_object(Bucket=settings.S3_BUCKET, Key=key)["ContentLength"])


@dataclass(frozen=True)
class ListedObject:
    """An object as a listing of the bucket describes it."""

    key: str
    size: int  # bytes
    modified: datetime


def list_keys(prefix: str) -> list[str]:
    """Return all keys that begin with the prefix."""
    return [listed.key for page in list_pages([prefix]) for listed in page]


def list_pages(prefixes: Sequence[str], *, after: str = "") -> Iterator[list[ListedObject]]:
    """Yield the objects under `prefixes`, a page of up to 1,000 at a time, in ascending order of prefix and key.

    The prefixes come in ascending order. Objects up to the key `after` are skipped.
    """
    for prefix in prefixes:
        if after and not after.startswith(prefix) and after > prefix:
            continue
        start = after if after.startswith(prefix) else ""
        with translate_errors():
            paginator = get_client().get_paginator("list_objects_v2")
            for page in paginator.paginate(Bucket=settings.S3_BUCKET, Prefix=prefix, StartAfter=start):
                if contents := page.get("Contents"):
                    yield [ListedObject(entry["Key"], entry["Size"], entry["LastModified"]) for entry in contents]


def delete(key: str) -> None:
    """Delete the object. Deleting a key that has no object changes nothing."""
    with translate_errors():
        get_client().delete_object(Bucket=settings.S3_BUCKET, Key=key)


class Undeleted(NamedTuple):
    """An object that S3 did not delete, with S3's error code or what else went wrong."""

    key: str
    reason: str


def delete_many(keys: Sequence[str]) -> list[Undeleted]:
    """Delete objects, and return those that S3 refused to delete. Raise StorageError if S3 is away.

    Where S3 refuses the call for many, each object is deleted by a call of its own: one bad key spoils the call at some
    stores, and others ask for a checksum of the call that boto3 no longer sends.
    """
    undeleted = []
    for chunk in (keys[start : start + MAX_DELETED_AT_ONCE] for start in range(0, len(keys), MAX_DELETED_AT_ONCE)):
        try:
            undeleted += _delete_at_once(chunk)
        except StorageError as error:
            if not error.is_refusal:
                raise
            undeleted += _delete_each(chunk)
    return undeleted


def _delete_at_once(keys: Sequence[str]) -> list[Undeleted]:
    with translate_errors():
        result = get_client().delete_objects(
            Bucket=settings.S3_BUCKET, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
    errors = [(error.get("Key", ""), error.get("Code", "")) for error in result.get("Errors", [])]
    return [Undeleted(key, foreign_text.clean(code, MAX_CODE_CHARS)) for key, code in errors]


def _delete_each(keys: Sequence[str]) -> list[Undeleted]:
    undeleted = []
    for key in keys:
        try:
            delete(key)
        except StorageError as error:
            if not error.is_refusal:
                raise
            undeleted.append(Undeleted(key, error.code))
    return undeleted


def abort_uploads(before: datetime, *, dry: bool) -> tuple[int, list[Undeleted]]:
    """Abort unfinished multipart uploads that began before `before`. Return their number, and those that S3 refused.

    With `dry`, only count them. Raise StorageError if S3 is away.
    """
    aborted, refused = 0, list[Undeleted]()
    with translate_errors():
        for page in get_client().get_paginator("list_multipart_uploads").paginate(Bucket=settings.S3_BUCKET):
            for upload in page.get("Uploads", []):
                if upload["Initiated"] >= before:
                    continue
                error = None if dry else _abort_upload(upload["Key"], upload["UploadId"])
                aborted += error is None
                refused += [Undeleted(upload["Key"], error.code)] if error else []
    return aborted, refused


def _abort_upload(key: str, upload_id: str) -> StorageError | None:
    """Abort an upload. Return S3's refusal, or None. Raise StorageError if S3 is away."""
    try:
        with translate_errors():
            get_client().abort_multipart_upload(Bucket=settings.S3_BUCKET, Key=key, UploadId=upload_id)
    except StorageError as error:
        if not error.is_refusal:
            raise
        return error
    return None


def _base64_of(sha256: str) -> str:
    """Return a digest in hex as S3 takes it."""
    return base64.b64encode(bytes.fromhex(sha256)).decode()
