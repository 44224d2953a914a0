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
    ("sds_", re.compile(r"(sds_(?:live|test)_[0-9A-Za-z]{12}_)[0-9A-Za-z]+"), rf"\1{HIDDEN}"),
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
        self._shape = [structlog.processors.format_exc_info, *_rendered(style)]
        clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        super().__init__(foreign_pre_chain=SHARED, processors=[clean, *self._shape])

    def format(self, record: logging.LogRecord) -> str:
        return redacted(self._line(record), self._secrets)

    def _line(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, dict):  # a library's
            return super().format(record)
        # One of ours: all but its shape is done, and the formatter's own way to it copies the record twice.
        line: Any = dict(record.msg)
        for processor in self._shape:
            line = processor(None, record.levelname, line)
        return str(line)


class Lines(logging.StreamHandler[Any]):
    """A line is made before it is its thread's turn to write: the others of a web process wait for nothing else."""

    def handle(self, record: logging.LogRecord) -> bool:
        if not self.filter(record):
            return False
        try:
            line = self.format(record) + self.terminator
            self.acquire()
            try:
                self.stream.write(line)
                self.stream.flush()
            finally:
                self.release()
        except Exception:
            self.handleError(record)
        return True


def _as_json(logger: Any, method: str, facts: Facts) -> str:
    return _encoded({**{name: facts[name] for name in FIRST if name in facts}, **facts})


_encoded = json.JSONEncoder(default=str).encode  # json.dumps would make an encoder for each line


def _rendered(style: str) -> list[Any]:
    if style == "console":
        # Not rich's tracebacks, which show what the variables held.
        plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, pad_event_to=0)
        return [_on_one_line, plain]
    return [_as_json]


# No line says where in the code it was written, nor by which thread: to find it out took a third of its time. Source:
# https://docs.python.org/3/howto/logging.html#optimization.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

structlog.configure(
    processors=[structlog.stdlib.filter_by_level, *SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
