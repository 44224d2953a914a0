"""The headers of a form and of its parts (RFC 7578): a part's field, and whether its content is a file or a text.

What a header says is understood as a whole, or the form is refused. Names of files are not: nothing here keeps them.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

import multipart
from rest_framework.exceptions import ParseError, ValidationError

from generations.api import form_values
from generations.api.fields import MAX_REFUSED_NAME_CHARS
from generations.intake.generation_request import IMAGE_FIELDS

WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = r'"(?:[^"\\]|\\["\\]|\\(?!["\\]))*+"'  # browsers send a lone backslash of a file's name as it is
PARAMETER = rf"[ \t]*;[ \t]*({WORD})[ \t]*=[ \t]*({QUOTED}|[^\s\";\\][^\";\\]*+)"
HEADER = re.compile(rf"[ \t]*({WORD}(?:/{WORD})?)[ \t]*((?:{PARAMETER})*+)[ \t]*;?[ \t]*")
EXTENDED = re.compile(r"([A-Za-z0-9-]+)'[A-Za-z0-9-]*'((?:%[0-9A-Fa-f]{2}|[!#$&+.^_`|~0-9A-Za-z-])*)")  # RFC 5987
ESCAPES = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # how HTML's standard writes these within a name
CHARSETS = {
    **dict.fromkeys(("utf-8", "utf8"), "utf-8"),
    **dict.fromkeys(("us-ascii", "ascii"), "ascii"),
    **dict.fromkeys(("iso-8859-1", "latin1"), "latin-1"),
}
IDENTITY = ("7bit", "8bit", "binary")  # values of Content-Transfer-Encoding that change nothing
MAX_BOUNDARY_CHARS = 200  # RFC 2046 allows 70


class Unreadable(ValueError):
    """A header is malformed, or says what is not understood; the message says what, in a sentence."""


class Part(NamedTuple):
    """A part of a form, by its headers."""

    name: str
    is_file: bool
    charset: str  # of a text, as Python names it


class PartParser(multipart.PushMultipartParser):
    """The parser of a form, which yields a `Part` where each part begins, and notices all that is in no part."""

    def __init__(self, boundary: str, **limits: int) -> None:
        super().__init__(boundary, **limits)
        self._part: Part | None = None
        self._head: bytes | None = b""  # of the body, until it is long enough for the first boundary
        self._first = f"--{boundary}".encode()

    def events(self, chunk: bytes) -> Iterator[Part | bytes | None]:
        """Yield what the next bytes of the body hold: parts, pieces of their content, and None at a part's end.

        Raise MultipartError, Unreadable or ValidationError.
        """
        if self._head is not None:
            chunk = self._head + chunk
            if len(chunk) < len(self._first) + 2:
                self._head = chunk
                return
            if not chunk.removeprefix(b"\r\n").startswith(self._first):
                raise Unreadable("it does not begin with its boundary")
            self._head = None
        elif self._state is multipart._COMPLETE:
            self._check_end(chunk)
            return
        for event in self.parse(chunk):
            yield self._part if isinstance(event, multipart.MultipartSegment) else event
        if self._state is multipart._COMPLETE:
            self._check_end(self._buffer)

    def _check_end(self, content: bytes) -> None:
        """Raise Unreadable if anything but blanks follows the last boundary: the parser would pass over it."""
        if content.strip(b"\r\n \t"):
            raise Unreadable("it has bytes behind its last boundary")

    def _create_segment(self, headerlist: list[tuple[str, str]]) -> multipart.MultipartSegment:
        self._part = read_part(headerlist)
        return multipart.MultipartSegment([])


def boundary_of(content_type: str) -> str:
    """Return the boundary that the form's Content-Type names. Raise ParseError."""
    try:
        _, parameters = parse_header("Content-Type", content_type)
        boundary = _unquote(parameters.get("boundary", ""))
    except Unreadable as error:
        raise ParseError(f"The form can not be read: {error}.") from error
    if not (0 < len(boundary) <= MAX_BOUNDARY_CHARS and boundary.isascii() and boundary.isprintable()):
        raise ParseError("The form can not be read: its Content-Type names no boundary.")
    return boundary


def read_part(headers: list[tuple[str, str]]) -> Part:
    """Return the part that has these headers. Raise Unreadable, or ValidationError once the part's name is known."""
    values: dict[str, str] = {}
    for header, value in headers:
        if header.lower() in values:
            raise Unreadable(f"a part has two {header[:50]} headers")
        values[header.lower()] = value
    disposition, parameters = parse_header("Content-Disposition", values.get("content-disposition", ""))
    if disposition != "form-data":
        raise Unreadable("a part has no Content-Disposition: form-data")
    name = _name(parameters)
    try:
        return _read_content(name, "filename" in parameters or "filename*" in parameters, values)
    except Unreadable as error:
        message = f"This part of the form can not be read: {error}."
        raise ValidationError({name[:MAX_REFUSED_NAME_CHARS]: [message]}) from error


def _read_content(name: str, has_filename: bool, values: dict[str, str]) -> Part:
    """Return the part of that name. Raise Unreadable for an encoding, a type or a charset that is not read."""
    transfer_encoding = values.get("content-transfer-encoding", "binary").strip().lower()
    if transfer_encoding not in IDENTITY:
        raise Unreadable(f"its Content-Transfer-Encoding is none of {', '.join(IDENTITY)}")
    if values.get("content-encoding", "identity").strip().lower() != "identity":
        raise Unreadable("it has a Content-Encoding")
    if has_filename:
        return Part(name, is_file=True, charset="")
    kind, parameters = parse_header("Content-Type", values.get("content-type") or "text/plain")
    if name in IMAGE_FIELDS and not kind.startswith("text/"):
        return Part(name, is_file=True, charset="")  # RFC 7578 lets a file have no name
    if kind not in ("text/plain", "application/octet-stream") and not (
        kind == "application/json" and form_values.is_json(name)
    ):
        raise Unreadable("its Content-Type is not that of a plain text")
    unknown = parameters.keys() - {"charset"}
    charset = CHARSETS.get(_unquote(parameters.get("charset", "utf-8")).lower())
    if unknown or charset is None:
        raise Unreadable("its Content-Type has a charset or a parameter that is not read; send UTF-8")
    return Part(name, is_file=False, charset=charset)


def parse_header(header: str, value: str) -> tuple[str, dict[str, str]]:
    """Return the value before the parameters, and the parameters as they are written, both with names in lower case.

    Raise Unreadable if any of it is malformed, or a parameter comes twice.
    """
    match = HEADER.fullmatch(value)
    if match is None:
        raise Unreadable(f"a {header} is missing or malformed")
    parameters: dict[str, str] = {}
    for name, text in re.findall(PARAMETER, match[2]):
        if name.lower() in parameters:
            raise Unreadable(f"a {header} has a parameter twice")
        parameters[name.lower()] = text.strip()
    return match[1].lower(), parameters


def _name(parameters: dict[str, str]) -> str:
    """Return the field's name from the parameters of Content-Disposition. Raise Unreadable."""
    if unknown := parameters.keys() - {"name", "name*", "filename", "filename*"}:
        raise Unreadable(f"a part's Content-Disposition has a parameter that is not read: {sorted(unknown)[0][:50]}")
    names = set[str]()
    if "name" in parameters:
        written = _unquote(parameters["name"])
        if "\\" in parameters["name"]:
            raise Unreadable("a part's name has a backslash, which has several meanings; send the field in JSON")
        names.add(re.sub("|".join(ESCAPES), lambda match: ESCAPES[match[0]], written))
    if "name*" in parameters:
        names.add(_decode_extended(parameters["name*"]))
    if len(names) != 1 or not (name := names.pop()):
        raise Unreadable("a part has no name, or several")
    return name


def _unquote(text: str) -> str:
    return text[1:-1] if text.startswith('"') else text


def _decode_extended(text: str) -> str:
    """Return the text that RFC 5987 writes as `utf-8''z%C3%BCrich`. Raise Unreadable."""
    match = EXTENDED.fullmatch(text)
    charset = CHARSETS.get(match[1].lower()) if match else None
    if match is None or charset is None:
        raise Unreadable("a part's name* is malformed")
    try:
        return unquote_to_bytes(match[2]).decode(charset)
    except UnicodeDecodeError as error:
        raise Unreadable("a part's name* is malformed") from error
