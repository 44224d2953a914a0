"""An answer of an upstream as it came over HTTP, and what all wires read of it in the same way."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from generations.foreign_text import clean
from generations.outbound import http_dates
from generations.upstream import task_ids
from generations.upstream.json_bodies import Body, decode
from generations.upstream.outcomes import InDoubt

MAX_RETRY_AFTER_SECONDS = 300.0  # a longer Retry-After is cut to this
MAX_HEAD_CHARS, MAX_BODY_CHARS = 1000, 4000  # of an answer that operators may have to read
OMITTED_HEADERS = {"set-cookie", "server", "connection", "keep-alive", "vary"}

FindIds = Callable[[Body, str], list[str]]  # the tasks that a decoded body, and the whole answer, name

INTEGER = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True)
class Answer:
    """An answer as it came over HTTP."""

    status: int
    headers: Mapping[str, str]
    content: bytes  # unpacked, if that is possible


def in_doubt(answer: Answer, reason: str, find_ids: FindIds = task_ids.find) -> InDoubt:
    """Return the outcome of a submit whose answer is not plain, or not whole, with what may help an operator."""
    named = find_ids(decode(answer.content), text_of(answer, limited=False))
    return InDoubt(reason, named[0] if named else "", text_of(answer))


def retry_after(answer: Answer) -> float | None:
    """Return the seconds that the answer asks us to wait; None if it asks for none."""
    return http_dates.parse_retry_after(answer.headers.get("Retry-After", ""), MAX_RETRY_AFTER_SECONDS)


def text_of(answer: Answer, *, limited: bool = True) -> str:
    """Return the answer as text: its status, its headers and the start of its body, without secrets if `limited`."""
    headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in OMITTED_HEADERS]
    body = answer.content.decode(errors="replace")
    head = "\n".join(f"{name}: {value}" for name, value in headers)
    if not limited:
        return f"{head}\n\n{body}"
    lines = [clean(line) for line in head[:MAX_HEAD_CHARS].splitlines()]
    return "\n".join([f"HTTP {answer.status}", *lines, "", clean(body, MAX_BODY_CHARS)])


def parse_integer(value: Any) -> int | None:
    """Return an integer of 64 bits, sent as a number or as text. Return None for anything else."""
    if isinstance(value, str) and INTEGER.fullmatch(value):
        value = int(value)
    return value if type(value) is int and abs(value) < 2**63 else None


def is_http_url(text: str) -> bool:
    """Return whether the text is an http(s) URL with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and text.isprintable() and " " not in text
    except ValueError:
        return False
