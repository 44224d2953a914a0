"""The texts of an error code that its page needs, beside those of its class."""

from typing import Any, NamedTuple


class Advice(NamedTuple):
    """The texts of one error code that its page needs."""

    does: str  # what a caller should do
    means: str = ""  # meaning, where no docstring of an exception says it, or several do
    facts: dict[str, Any] = {}  # values that the example's sentence names
    apis: tuple[str, ...] = ("/v1/", "/v3/")  # path prefixes of the APIs that answer with the code
    message: str = ""  # example message of a generation that failed with the code; empty: no generation does
