"""Errors of calls to the upstream."""


class UpstreamError(Exception):
    """The upstream gave no answer, or an answer that cannot be understood."""
