"""What can go wrong with an exchange with a place outside."""


class OutboundError(Exception):
    """An exchange with a place outside did not give what it should."""


class FetchRefused(OutboundError):
    """The URL, or the address behind it, may not be fetched."""


class FetchTooLarge(OutboundError):
    """The body is larger than the limit."""


class FetchFailed(OutboundError):
    """The exchange did not come to its end. `is_unsent`: surely not a byte of the request was sent."""

    def __init__(self, reason: str, *, is_unsent: bool = False) -> None:
        super().__init__(reason)
        self.is_unsent = is_unsent
