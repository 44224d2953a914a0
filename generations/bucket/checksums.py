"""Try whether the store compares what it is sent with the SHA-256 that the request states.

A store that compares refuses other bytes:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html. From a store that takes them, each
video is read back after its copy.
"""

import hashlib
import threading

from django.conf import settings

from generations.bucket import objects
from generations.bucket.errors import StorageError

CONTENT, OTHER = b"a checksum is tried", b"another content"
KEY = "doctor/checksum"  # always the same: what a process that was killed has left is deleted by the next

_lock = threading.Lock()
_found: dict[tuple[str, str], bool] = {}  # by endpoint and bucket


def are_compared() -> bool:
    """Return whether the store compares checksums, which each process tries once. Raise StorageError if S3 is away."""
    store = settings.S3_ENDPOINT_URL, settings.S3_BUCKET
    with _lock:
        if store not in _found:
            _found[store] = try_wrong()
        return _found[store]


def try_wrong() -> bool:
    """Put an object with a wrong SHA-256, and delete it. Return whether the store refused it.

    A refusal counts only if the store then takes the same object with its right SHA-256: what refuses both has another
    reason, which is raised as StorageError.
    """
    wrong, right = (hashlib.sha256(content).hexdigest() for content in (OTHER, CONTENT))
    is_refused = False
    try:
        objects.put(KEY, CONTENT, "text/plain", wrong)
    except StorageError as error:
        if not error.is_refusal:
            raise
        is_refused = True
        objects.put(KEY, CONTENT, "text/plain", right)
    objects.delete(KEY)
    return is_refused
