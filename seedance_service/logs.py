"""Log entries: JSON for machines, colours on a terminal, and no secret in either.

One record is one line. Our modules log an event with its fields by structlog; a record of a library
becomes an entry of the same form. Text that looks like a secret, or is a known one, is hidden last, in tracebacks too.
"""

import json
import logging
from collections.abc import Iterable, MutableMapping
from typing import Any

import structlog

from generations.foreign_text import MIN_SECRET_CHARS, known_secrets, redact
from seedance_service import request_id

CONTROLS = {code: repr(chr(code))[1:-1] for code in [*range(32), *range(127, 160), 0x2028, 0x2029]}
FIRST_FIELDS = ("timestamp", "level", "logger", "event")  # of each entry, in this order
Fields = MutableMapping[str, Any]


def _add_request_id(logger: Any, method: str, fields: Fields) -> Fields:
    """Add the current request\'s id, also to entries of transitions and of libraries during the request."""
    if current := request_id.current():
        fields["request_id"] = current
    return fields


def _escape_controls(logger: Any, method: str, fields: Fields) -> Fields:
    """Escape control characters for a terminal, where a line break could forge an entry. JSON escapes them itself."""
    escaped = {name: value.translate(CONTROLS) if isinstance(value, str) else value for name, value in fields.items()}
    if "exception" in fields:  # a traceback has lines of its own
        escaped["exception"] = fields["exception"]
    return escaped


SHARED: list[Any] = [
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    _add_request_id,
]


class RedactingFormatter(structlog.stdlib.ProcessorFormatter):
    """Format any record as one entry without secrets: those in the settings, or `secrets`. `style`: json or console."""

    def __init__(self, style: str = "json", secrets: Iterable[str] | None = None) -> None:
        secrets = known_secrets() if secrets is None else secrets
        known = {secret for secret in secrets if len(secret) >= MIN_SECRET_CHARS}
        known |= {json.dumps(secret)[1:-1] for secret in known}  # as JSON would write it
        self._secrets = sorted(known, key=len, reverse=True)  # the longest first: a secret may be a part of another
        self._shape = [structlog.processors.format_exc_info, *_renderers(style)]
        clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        super().__init__(foreign_pre_chain=SHARED, processors=[clean, *self._shape])

    def format(self, record: logging.LogRecord) -> str:
        return redact(self._entry(record), self._secrets)

    def _entry(self, record: logging.LogRecord) -> str:
        if not isinstance(record.msg, dict):  # of a library
            return super().format(record)
        # One of ours: only the rendering is left, and structlog's own way copies the record twice.
        entry: Any = dict(record.msg)
        for processor in self._shape:
            entry = processor(None, record.levelname, entry)
        return str(entry)


class StreamHandler(logging.StreamHandler[Any]):
    """Write entries to a stream, formatting each one before the lock is taken: threads wait for the write alone."""

    def handle(self, record: logging.LogRecord) -> bool:
        if not self.filter(record):
            return False
        try:
            entry = self.format(record) + self.terminator
            self.acquire()
            try:
                self.stream.write(entry)
                self.stream.flush()
            finally:
                self.release()
        except Exception:
            self.handleError(record)
        return True


def _render_json(logger: Any, method: str, fields: Fields) -> str:
    return _encode({**{name: fields[name] for name in FIRST_FIELDS if name in fields}, **fields})


_encode = json.JSONEncoder(default=str).encode  # json.dumps would make an encoder for each entry


def _renderers(style: str) -> list[Any]:
    if style == "console":
        # Not rich's tracebacks, which show the values of variables.
        plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback, pad_event_to=0)
        return [_escape_controls, plain]
    return [_render_json]


# Entries do not name the place in the code nor the thread: finding them out took a third of an entry's time. Source:
# https://docs.python.org/3/howto/logging.html#optimization.
logging._srcfile = None
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False

structlog.configure(
    processors=[structlog.stdlib.filter_by_level, *SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)
