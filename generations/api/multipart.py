"""multipart/form-data: a create whose images come as files, which go to the disk and from there to S3.

The texts of the form become what JSON would have held, and are checked as JSON.
"""

import io
import json
import mmap
import re
import tempfile
from typing import IO, Any

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent, TooManyFilesSent
from django.core.files.uploadhandler import FileUploadHandler
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from rest_framework.exceptions import ParseError, ValidationError
from rest_framework.parsers import BaseParser

from generations.api.fields import refuse
from generations.api.json_codec import BodyTooLarge, check_body, stated_length
from generations.media import images

FILES = ("image", "last_image")
INTEGERS = ("seed", "duration")
BOOLEANS = {"true": True, "True": True, "false": False, "False": False}  # as JSON writes them, and as Python does
METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


class Spool(FileUploadHandler):
    """A file on the disk without a name, which ends with the request. A file that is too large is cut off."""

    _file: IO[bytes] | None = None

    def new_file(self, *args: Any, **options: Any) -> None:
        super().new_file(*args, **options)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed once it is mapped, or cut off

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self._file and start <= images.MAX_BYTES:
            self._file.write(raw_data)

    def file_complete(self, file_size: int) -> Any:
        if self._file is None or not file_size:
            return mmap.mmap(-1, 1)  # an empty file can not be mapped; a single zero byte is no image either
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self.close()
        return mapped

    def close(self) -> None:
        """Close the file. A mapping of the file stays readable."""
        if self._file:
            self._file.close()


class CountingStream(io.RawIOBase):
    """The body's stream, with a count of the bytes that were read."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream, self.count = stream, 0

    def read(self, size: int | None = None, /) -> bytes:
        piece = self._stream.read(-1 if size is None else size)
        self.count += len(piece)
        return piece


class FormParser(BaseParser):
    """The parser of multipart/form-data."""

    media_type = "multipart/form-data"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        """Return what the JSON parser would return, with a file as its mapping.

        Raise BodyTooLarge, ParseError or ValidationError.
        """
        request = parser_context["request"]
        check_body(request)
        counting, spool = CountingStream(stream), Spool(request)
        try:
            texts, files = MultiPartParser(request.META, counting, [spool], "utf-8").parse()
        except (MultiPartParserError, TooManyFieldsSent, TooManyFilesSent, UnicodeDecodeError) as error:
            raise ParseError(f"The form can not be read: {error}") from error
        except RequestDataTooBig as error:
            raise BodyTooLarge from error
        finally:
            spool.close()  # the file of a body that was cut off
        counting.read()
        if counting.count < stated_length(request):
            raise ParseError("The body ended before its Content-Length.")
        return _as_json(texts, files)


def _as_json(texts: Any, files: Any) -> dict[str, Any]:
    """Return the form's fields as one object. Raise ValidationError for a field that comes twice, or is no file."""
    pairs = [(name, value) for form in (texts, files) for name, values in form.lists() for value in values]
    names = [name for name, _ in pairs]
    messages = {name: "This field is given twice." for name in names if names.count(name) > 1}
    messages |= {name: "This field takes no file." for name in files if name not in FILES}
    refuse(messages)
    body = {name: _value(name, value) for name, value in pairs if not METADATA.fullmatch(name)}
    labels = {match[1]: value for name, value in pairs if (match := METADATA.fullmatch(name))}
    return {**body, "metadata": {**body.get("metadata", {}), **labels}} if labels else body


def _value(name: str, value: Any) -> Any:
    """Return the JSON value that the text of this field means; the text itself if it means none."""
    if name in INTEGERS and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    if name == "camera_fixed":
        return BOOLEANS.get(value, value)
    if name == "metadata":
        return _json_object(value)
    return value


def _json_object(text: str) -> dict[str, Any]:
    """Return the JSON object in the text. Raise ValidationError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValidationError({"metadata": ["Send a JSON object, or fields such as metadata[order]."]})
    return value
