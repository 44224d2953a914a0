"""Errors of the bucket. Every error of boto3 becomes one of these in `client.translate_errors`."""


class StorageError(Exception):
    """S3 gave an error, no answer, or other bytes than were stored."""


class ObjectMissing(StorageError):
    """The bucket answers, and has no object with this key."""


class ObjectExists(StorageError):
    """An object with this key exists already, and no object is ever overwritten."""
