"""Try everything that the service does with the bucket, for `manage.py doctor`."""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from django.conf import settings

from generations import aws
from generations.bucket import client, objects
from generations.bucket.errors import ObjectExists, StorageError

CONTENT_TYPE = "application/octet-stream"
SOURCES = {  # by botocore's names
    "env": "the settings",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the shared config file",
    "assume-role": "a profile's role",
    "assume-role-with-web-identity": "a web identity",
    "container-role": "the container's role",
    "iam-role": "the instance's role",
    "custom-process": "a profile's process",
    "sso": "single sign-on",
}


class CredentialFacts(NamedTuple):
    """The source and the end of the credentials that sign URLs, without their content."""

    fact: str
    is_shorter: bool  # URLs that are signed now do not live for SIGNED_URL_TTL, or may not


def describe_credentials() -> CredentialFacts:
    """Return the source of the credentials and their end. Raise StorageError if there are none."""
    with client.translate_errors():
        _, held = aws.bucket_session()
        credentials, ends_at = held.current(settings.SIGNED_URL_TTL)
        source = f"from {SOURCES.get(held.method, held.method)}"
    if ends_at is None:
        if credentials.token:
            return CredentialFacts(f"{source}, with a session token whose end is not known", True)
        return CredentialFacts(f"{source}, without an end", False)
    left = int((ends_at - datetime.now(UTC)).total_seconds())
    fact = f"{source}; they end in {left} s, and SIGNED_URL_TTL is {settings.SIGNED_URL_TTL} s"
    return CredentialFacts(fact, left < settings.SIGNED_URL_TTL)


def explain_refusal(error: StorageError) -> tuple[str, str]:
    """Return what is wrong where HeadBucket or a later step fails, and how to fix it, or "" for the fix."""
    code, other = (error.code, "")
    if not code or code.isdecimal():  # the answer to a HEAD names no more than its status
        code, other = client.explain_refusal()
    elif code in client.PATH_STYLE_REFUSED:
        other = "virtual"
    fact = f"{error} ({code})" if code and code not in str(error) else str(error)
    if not other:
        return fact, ""
    place = "in its host" if other == "virtual" else "in its path"
    return fact, f"Set S3_ADDRESSING={other}: the store takes the bucket's name {place}."


def run(key: str) -> Iterator[str]:
    """Put, read, list and delete an object under `key`; yield the name of each step before it is done.

    Raise StorageError at the first step that fails or gives other bytes. The object is deleted in any case.
    """
    content = os.urandom(1024)
    try:
        yield "PutObject"
        objects.put(key, content, CONTENT_TYPE)
        yield "PutObject that refuses to overwrite"
        with suppress(ObjectExists):
            objects.put_file(key, io.BytesIO(content), len(content), hashlib.sha256(content).hexdigest(), CONTENT_TYPE)
            raise StorageError("S3 overwrote an object in spite of If-None-Match")
        yield "GetObject"
        if objects.read(key) != content:
            raise StorageError("S3 gave other bytes than were put")
        yield "ListBucket"
        if key not in objects.list_keys(key):
            raise StorageError("S3 does not list the object that was put")
    finally:
        objects.delete(key)
    yield "DeleteObject"
    if objects.exists(key):
        raise StorageError("S3 still has the object that was deleted")
