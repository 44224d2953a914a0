"""Errors of the bucket. Every error of boto3 becomes one of these in `client.translate_errors`."""


class StorageError(Exception):
    """S3 gave an error, no answer, or other bytes than were stored.

    `code` is S3's own error code, or "". `is_refusal` is whether S3 answered, and said no to this very call: another
    object may fare better.
    """

    def __init__(self, message: str = "", code: str = "", *, is_refusal: bool = False) -> None:
        super().__init__(message)
        self.code, self.is_refusal = code, is_refusal


class ObjectMissing(StorageError):
    """The bucket answers, and has no object with this key."""


class ObjectExists(StorageError):
    """An object with this key exists already, and no object is ever overwritten."""


class CannotSign(StorageError):
    """There are no credentials, or none that are still valid, to sign a URL with."""
