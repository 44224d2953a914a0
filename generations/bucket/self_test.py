"""Try everything that the service does with the bucket, for `manage.py doctor`."""

import os
from collections.abc import Iterator
from contextlib import suppress

from generations.bucket import objects
from generations.bucket.errors import ObjectExists, StorageError

CONTENT_TYPE = "application/octet-stream"


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
            objects.put_stream(key, iter([content]), len(content), CONTENT_TYPE)
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
