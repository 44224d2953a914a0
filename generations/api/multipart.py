"""multipart/form-data: a create whose pictures come as files, which go to the disk and from there to S3.

Its texts become what JSON would have held, and are checked as that.
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
NUMBERS, FLAGS = ("seed", "duration"), {"true": True, "false": False}
METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


class Spool(FileUploadHandler):
    """A file on the disk that has no name: it is gone with the request. One that is too large is cut off."""

    _file: IO[bytes] | None = None

    def new_file(self, *args: Any, **options: Any) -> None:
        super().new_file(*args, **options)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed once it is mapped, or cut off

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if self._file and start <= images.MAX_BYTES:
            self._file.write(raw_data)

    def file_complete(self, file_size: int) -> Any:
        if self._file is None or not file_size:
            return mmap.mmap(-1, 1)  # nothing can not be mapped; one zero is no picture either
        self._file.flush()
        mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        self.close()
        return mapped

    def close(self) -> None:
        """Its mapping stays good."""
        if self._file:
            self._file.close()


class Counted(io.RawIOBase):
    """The body, and how much of it came."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__()
        self._stream, self.count = stream, 0

    def read(self, size: int | None = None, /) -> bytes:
        piece = self._stream.read(-1 if size is None else size)
        self.count += len(piece)
        return piece


class FormParser(BaseParser):
    media_type = "multipart/form-data"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        """As the JSON parser's answer, a file as its mapping. Raises BodyTooLarge, ParseError or ValidationError."""
        request = parser_context["request"]
        check_body(request)
        counted, spool = Counted(stream), Spool(request)
        try:
            texts, files = MultiPartParser(request.META, counted, [spool], "utf-8").parse()
        except (MultiPartParserError, TooManyFieldsSent, TooManyFilesSent, UnicodeDecodeError) as error:
            raise ParseError(f"The form can not be read: {error}") from error
        except RequestDataTooBig as error:
            raise BodyTooLarge from error
        finally:
            spool.close()  # of one that was cut off
        counted.read()
        if counted.count < stated_length(request):
            raise ParseError("The body ended before its Content-Length.")
        return _as_json(texts, files)


def _as_json(texts: Any, files: Any) -> dict[str, Any]:
    given = [(name, value) for form in (texts, files) for name, values in form.lists() for value in values]
    names = [name for name, _ in given]
    wrong = {name: "It is given twice." for name in names if names.count(name) > 1}
    wrong |= {name: "It is no file." for name in files if name not in FILES}
    refuse(wrong)
    body = {name: _value(name, value) for name, value in given if not METADATA.fullmatch(name)}
    labels = {found[1]: value for name, value in given if (found := METADATA.fullmatch(name))}
    return {**body, "metadata": {**body.get("metadata", {}), **labels}} if labels else body


def _value(name: str, value: Any) -> Any:
    if name in NUMBERS and re.fullmatch(r"-?[0-9]{1,19}", value):
        return int(value)
    if name == "camera_fixed":
        return FLAGS.get(value, value)
    if name == "metadata":
        return _object(value)
    return value


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ValidationError({"metadata": ["A JSON object, or fields such as metadata[order], are wanted."]})
    return found
