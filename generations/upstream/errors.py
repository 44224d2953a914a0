"""Errors of calls to the upstream. Their texts are for operators: they hold what the upstream said, without secrets."""


class UpstreamError(Exception):
    """The upstream gave no answer, or an answer that cannot be understood."""


class WrongTask(UpstreamError):
    """The upstream's answer is about another task than the one asked for."""


class NoVideo(UpstreamError):
    """The upstream answers about this task, and has no video: it knows no such task, or names no video, or is odd."""


class NoSuchTask(NoVideo):
    """The upstream answers that it has no such task."""


class AccountError(UpstreamError):
    """The upstream refuses our account, or asks for fewer requests of it: whatever task is asked for."""

    def __init__(self, reason: str, *, is_rate_limit: bool = False, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.is_rate_limit, self.retry_after = is_rate_limit, retry_after  # seconds, if the upstream asked for any
