"""The rule for texts of callers that are shown on one line: in the panel, in the log, in an answer's field."""

import re

# Refuses control characters, line separators, invisible characters, and those that turn the direction of writing. The
# pattern means the same to Python and to ECMA 262. isprintable() is too strict: it refuses the ideographic space, and
# characters that Unicode adds later.
PATTERN = r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]*$"


def matches(text: str) -> bool:
    """Return whether the text may be shown on one line."""
    return re.fullmatch(PATTERN, text) is not None
