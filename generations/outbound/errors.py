"""Errors of HTTP exchanges with other hosts."""


class OutboundError(Exception):
    """An HTTP exchange failed, or was refused."""

    received: bytes = b""  # of a body that was to be read whole: what had come, as it came


class FetchRefused(OutboundError):
    """The URL, or the address behind it, may not be fetched."""


class FetchTooLarge(OutboundError):
    """The body is larger than the limit."""


class FetchFailed(OutboundError):
    """The exchange did not finish. If `is_unsent`, it is certain that no byte of the request was sent."""

    def __init__(self, reason: str, *, is_unsent: bool = False) -> None:
        super().__init__(reason)
        self.is_unsent = is_unsent


class FetchNotServed(FetchFailed):
    """The server answers that it does not serve this URL: HTTP 401, 403, 404 or 410."""


class BodyUndecodable(FetchFailed):
    """The body's compression is not read here, or is not what the body's bytes are."""
