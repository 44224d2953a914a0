"""What a caller may write where one line is shown: in the panel, in the log, in an answer's field."""

import re

# It means the same to Python and to ECMA 262: no control character, no line separator, and nothing that is invisible or
# turns the direction of what follows. Not isprintable(): it refuses the ideographic space, and what Unicode adds later.
ONE_LINE = r"^[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]*$"


def is_line(text: str) -> bool:
    return re.fullmatch(ONE_LINE, text) is not None
