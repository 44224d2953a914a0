"""Errors of HTTP exchanges with other hosts."""


class OutboundError(Exception):
    """An HTTP exchange failed, or was refused."""

    received: bytes = b""  # of a body that was to be read whole: what had come, as it came
    retry_after: float | None = None  # seconds after which the server says to come back


class FetchRefused(OutboundError):
    """The URL, or the address behind it, may not be fetched."""


class FetchTooLarge(OutboundError):
    """The body is larger than the limit."""


class FetchFailed(OutboundError):
    """The exchange did not finish, or the server answered that it does not serve the URL now.

    If `is_unsent`, it is certain that no byte of the request was sent.
    """

    def __init__(self, reason: str, *, is_unsent: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.is_unsent, self.retry_after = is_unsent, retry_after


class FetchNotServed(FetchFailed):
    """The server answered, and serves nothing under this URL that can be read: another attempt does not help."""


class BodyUndecodable(FetchNotServed):
    """The body's compression is not read here, or is not what the body's bytes are."""
