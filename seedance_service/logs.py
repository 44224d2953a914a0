"""Log lines without secrets: whatever was logged, and by whom, passes through here last, tracebacks included."""

import logging
import re
from collections.abc import Iterable
from typing import Any

from seedance_service import request_id

HIDDEN = "[hidden]"
SHORTEST = 8  # characters; a shorter secret is a word that would be hidden everywhere
CONTROLS = {code: repr(chr(code))[1:-1] for code in [*range(32), *range(127, 160), 0x2028, 0x2029]}
PATTERNS = [
    # Any URL's query: it may hold a signature, whoever signed it.
    (re.compile(r"(https?://[^\s?'\"<>]+)\?[^\s'\"<>]+"), rf"\1?{HIDDEN}"),
    (re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)[^\s&'\"]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)(Bearer\s+)[^\s'\",}]+"), rf"\1{HIDDEN}"),
    # A key of our own keeps its prefix, which names it and opens nothing.
    (re.compile(r"\b(sds_(?:live|test)_[0-9A-Za-z]{12}_)[0-9A-Za-z]+"), rf"\1{HIDDEN}"),
    (re.compile(r"\bwhsec_[0-9A-Za-z+/=_-]+"), f"whsec_{HIDDEN}"),
    (re.compile(r"(://[^\s:/@'\"]*):[^\s/@'\"]+@"), rf"\1:{HIDDEN}@"),  # a password in a database's or broker's URL
]


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without what looks like a secret, and without the secrets that are known."""
    for pattern, shown in PATTERNS:
        text = pattern.sub(shown, text)
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


class RedactingFormatter(logging.Formatter):
    """Redacts the finished line, so that no argument, no exception and no library's logger is missed."""

    def __init__(self, *args: Any, secrets: Iterable[str] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        # The longest first: one may be a part of another.
        self._secrets = sorted((secret for secret in set(secrets) if len(secret) >= SHORTEST), key=len, reverse=True)

    def formatMessage(self, record: logging.LogRecord) -> str:
        """One line, whatever was logged: a line break in it could look like a line of ours. A traceback follows it."""
        line, current = super().formatMessage(record).translate(CONTROLS), request_id.current()
        return f"{line} request_id={current}" if current else line

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record), self._secrets)
