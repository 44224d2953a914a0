"""Images as text: Base64 and data URIs (RFC 2397), in the ways in which common libraries write them.

Plain Base64 of RFC 4648 is decoded at once. What is written otherwise is brought into that form first: lines of any
length, a data URI's percent-encoding, the URL-safe alphabet, and padding that was left out.
"""

import re
from urllib.parse import unquote_to_bytes

import pybase64

MAX_HEAD_CHARS = 1000  # of a data URI, before the comma
# A comma in a quoted parameter does not end the head.
HEAD = re.compile(rb'data:((?:[^",]|"[^"]*")*+),', re.IGNORECASE)
SCHEME = re.compile(rb"data:", re.IGNORECASE)
BLANKS = b" \t\r\n\f"
INNER_BLANK = re.compile(rb"(?<![ \t\r\n\f])[ \t]++(?![ \t\r\n\f])")
BLANK = re.compile(rb"[ \t\r\n\f]")
URL_SAFE = bytes.maketrans(b"-_", b"+/")


class NotBase64(ValueError):
    """The text is neither Base64 nor a data URI."""


class TooLong(ValueError):
    """The text holds more bytes than are allowed."""


def decode(text: str | memoryview, limit: int) -> bytes:
    """Return the bytes that the text holds. Raise NotBase64, or TooLong for more than `limit` bytes.

    A memoryview holds ASCII.
    """
    head = text[:MAX_HEAD_CHARS].encode("utf-8", "replace") if isinstance(text, str) else bytes(text[:MAX_HEAD_CHARS])
    if not SCHEME.match(head):
        return _decode_base64(text, limit)
    match = HEAD.match(head)
    if match is None or not head.isascii():
        raise NotBase64
    content = text[match.end() :]
    if _is_base64(match[1]):
        return _decode_base64(content, limit)
    return _unquote(_as_bytes(content), limit)


def _is_base64(head: bytes) -> bool:
    """Return whether the head ends with `;base64`: what follows is Base64 then, and else percent-encoded bytes."""
    _, semicolon, last = head.rpartition(b";")
    return bool(semicolon) and last.strip(b" ").lower() == b"base64"


def _unquote(content: bytes, limit: int) -> bytes:
    """Return the bytes that are percent-encoded."""
    if re.search(rb"%(?![0-9A-Fa-f]{2})", content):
        raise NotBase64
    decoded = unquote_to_bytes(content)
    if len(decoded) > limit:
        raise TooLong
    return decoded


def _decode_base64(text: str | memoryview, limit: int) -> bytes:
    """Return the bytes of Base64, at once if it is plain, or else brought into the plain form."""
    max_chars = -(-limit // 3) * 4
    if len(text) <= max_chars:
        try:
            return pybase64.b64decode(text, validate=True)
        except ValueError:
            pass  # the text is not plain: it is brought into the plain form below, and refused there if it has none
    content = _plain(_as_bytes(text))
    if len(content) > max_chars:
        raise TooLong
    try:
        return pybase64.b64decode(content, validate=True)
    except ValueError as error:
        raise NotBase64 from error


def _as_bytes(text: str | memoryview) -> bytes:
    try:
        return text.encode("ascii") if isinstance(text, str) else bytes(text)
    except UnicodeEncodeError as error:
        raise NotBase64 from error


def _plain(content: bytes) -> bytes:
    """Return the Base64 without percent-encoding and line breaks, in the plain alphabet and with padding."""
    if b"%" in content:
        content = _unquote(content, len(content))
    content = content.strip(BLANKS)
    if BLANK.search(content):
        content = _join_lines(content)
    if b"-" in content or b"_" in content:
        if b"+" in content or b"/" in content:
            raise NotBase64  # two alphabets: what was meant is not known
        content = content.translate(URL_SAFE)
    missing = -len(content) % 4
    if missing == 3 or (missing and content.endswith(b"=")):
        raise NotBase64
    return content + b"=" * missing


def _join_lines(content: bytes) -> bytes:
    """Return the content without its line breaks, and without blanks beside them.

    Blanks alone are line breaks where all lines have one length: an editor or YAML has folded them. A single one may be
    a `+` that a form has altered. Raise NotBase64 then.
    """
    first = BLANK.search(content)
    if first and b"\n" not in content and b"\r" not in content:
        folded = rb"(?:[^ ]{%d} )*[^ ]{1,%d}" % (first.start(), first.start())
        if first.start() % 4 or not re.fullmatch(folded, content):
            raise NotBase64
    elif (b" " in content or b"\t" in content) and INNER_BLANK.search(content):
        raise NotBase64
    return content.translate(None, BLANKS)
