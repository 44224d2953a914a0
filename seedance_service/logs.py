"""Log lines: JSON for machines, colours on a terminal, and no secret in either, whoever logged it.

One record is one line, whatever was logged. Our own modules log an event with its facts by structlog; a library's
record becomes a line of the same shape. What looks like a secret, or is a known one, is hidden last, tracebacks too.
"""

import json
import logging
import re
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

from seedance_service import request_id

HIDDEN = "[hidden]"
SHORTEST = 8  # characters; a shorter secret is a word that would be hidden everywhere
CONTROLS = {code: repr(chr(code))[1:-1] for code in [*range(32), *range(127, 160), 0x2028, 0x2029]}
FIRST = ("timestamp", "level", "logger", "event")  # in each line, in this order
# Each with what it can not do without, in lower case: most lines hold nothing of it.
PATTERNS = [
    # Any URL's query: it may hold a signature, whoever signed it.
    ("://", re.compile(r"(https?://[^\s?'\"<>\\]+)\?[^\s'\"<>\\]+"), rf"\1?{HIDDEN}"),
    ("x-amz-", re.compile(r"(?i)(X-Amz-(?:Signature|Credential|Security-Token)=)[^\s&'\"\\]+"), rf"\1{HIDDEN}"),
    ("bearer", re.compile(r"(?i)(Bearer\s+)[^\s'\",}\\]+"), rf"\1{HIDDEN}"),
    # A key of our own keeps its prefix, which names it and opens nothing.
    ("sds_", re.compile(r"\b(sds_(?:live|test)_[0-9A-Za-z]{12}_)[0-9A-Za-z]+"), rf"\1{HIDDEN}"),
    ("whsec_", re.compile(r"\bwhsec_[0-9A-Za-z+/=_-]+"), f"whsec_{HIDDEN}"),
    # A password in a database's or broker's URL.
    ("://", re.compile(r"(://[^\s:/@'\"\\]*):[^\s/@'\"\\]+@"), rf"\1:{HIDDEN}@"),
]

Facts = MutableMapping[str, Any]


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without what looks like a secret, and without the secrets that are known."""
    lowered = text.lower()
    for mark, pattern, shown in PATTERNS:
        if mark in lowered:
            text = pattern.sub(shown, text)
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _of_request(logger: Any, method: str, facts: Facts) -> Facts:
    """Also of a move that is made, or a library's line that is written, while a request is answered."""
    if current := request_id.current():
        facts["request_id"] = current
    return facts


def _in_order(logger: Any, method: str, facts: Facts) -> Facts:
    return {**{name: facts[name] for name in FIRST if name in facts}, **facts}


def _on_one_line(logger: Any, method: str, facts: Facts) -> Facts:
    """On a terminal: a line break could look like a line of ours, an escape do worse. JSON escapes them itself."""
    shown = {name: value.translate(CONTROLS) if isinstance(value, str) else value for name, value in facts.items()}
    if "exception" in facts:  # its lines follow
        shown["exception"] = facts["exception"]
    return shown


SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _of_request,
]


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """`style`: json or console."""

    def __init__(self, style: str = "json", secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= SHORTEST}
        known |= {json.dumps(secret)[1:-1] for secret in known}  # as JSON would write it
        self._secrets = sorted(known, key=len, reverse=True)  # the longest first: one may be a part of another
        shape: list[Any] = [
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
        ]
        super().__init__(foreign_pre_chain=SHARED, processors=[*shape, *_rendered(style)])

    def format(self, record: logging.LogRecord) -> str:
        return redacted(super().format(record), self._secrets)


def _rendered(style: str) -> list[Any]:
    if style == "console":
        # Not rich's tracebacks, which show what the variables held.
        plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, pad_event_to=0)
        return [_on_one_line, plain]
    return [_in_order, structlog.processors.JSONRenderer(serializer=json.dumps, default=str)]


structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *SHARED,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
