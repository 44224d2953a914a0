"""multipart/form-data: a create whose images come as files, which go to the disk and from there to S3.

The texts of the form become what JSON would have held, and are checked as JSON.
"""

import mmap
import re
import tempfile
from typing import IO, Any

from multipart import MultipartError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from generations.api import form_values
from generations.api.fields import refuse
from generations.api.form_parts import Part, PartParser, Unreadable, boundary_of
from generations.api.json_codec import check_body, stated_length
from generations.intake.generation_request import IMAGE_FIELDS as FILES
from generations.media import images

METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)
MAX_PARTS = 100  # the fields of a create, with its metadata, are about 40
CHUNK_BYTES = 64 * 1024

GIVEN_TWICE, NO_FILE = "This field is given twice.", "This field takes no file."
NESTED = "Metadata is not nested: send a field such as metadata[order] for each name, or a JSON object."


class Spool:
    """The content of a file, on the disk and without a name. A file that is too large is cut off."""

    def __init__(self) -> None:
        self._file, self._size = tempfile.TemporaryFile(), 0  # noqa: SIM115  # closed once it is mapped, or not read

    def write(self, piece: bytes) -> None:
        if self._size <= images.MAX_BYTES:
            self._file.write(piece)
            self._size += len(piece)

    def finish(self) -> mmap.mmap:
        """Return the content as a mapping, which stays readable once the file is closed."""
        if not self._size:
            return mmap.mmap(-1, 1)  # an empty file can not be mapped; a single zero byte is no image either
        self._file.flush()
        return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def close(self) -> None:
        self._file.close()


class Form:
    """The fields of a form, as its parts come in."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.files: dict[str, mmap.mmap] = {}
        self._wrong: dict[str, str] = {}  # what is wrong with a field, by its name
        self._part: Part | None = None
        self._text, self._spool = bytearray(), Spool()

    def add(self, event: Part | bytes | None) -> None:
        """Add what the parser yields next. The content of a field that is refused is not stored."""
        if isinstance(event, Part):
            self._begin(event)
        elif self._part is None:
            return
        elif event is None:
            self._end(self._part)
        elif self._part.is_file:
            self._spool.write(event)
        else:
            self._text += event

    def _begin(self, part: Part) -> None:
        self._part = None
        if part.name in self.texts or part.name in self.files:
            self._wrong[part.name] = GIVEN_TWICE
        elif part.is_file and part.name not in FILES:
            self._wrong[part.name] = NO_FILE
        else:
            self._part = part

    def _end(self, part: Part) -> None:
        if part.is_file:
            self.files[part.name] = self._spool.finish()
            self._spool.close()
            self._spool = Spool()
            return
        try:
            self.texts[part.name] = self._text.decode(part.charset)
        except UnicodeDecodeError:
            self._wrong[part.name] = f"This is no text in {part.charset}."
        self._text = bytearray()

    def close(self) -> None:
        """Close the file of a body that ended before the file did."""
        self._spool.close()

    def as_json(self, source_model: str | None) -> dict[str, Any]:
        """Return what JSON would have held, with a file as its mapping. Raise ValidationError.

        `source_model` is the model of a form that names none; None: the default one.
        """
        refuse(self._wrong)
        body: dict[str, Any] = dict(self.files)
        labels: dict[str, str] = {}
        model = form_values.find_model(self.texts.get("model"), source_model)
        for name, text in self.texts.items():
            if match := METADATA.fullmatch(name):
                labels[match[1]] = text
            else:
                body[name] = form_values.read(model, name, text)
        whole = body.get("metadata", {})
        refuse({f"metadata[{name}]": NESTED for name in labels if "][" in name})
        refuse({f"metadata[{name}]": GIVEN_TWICE for name in labels.keys() & whole.keys()})
        return {**body, "metadata": {**whole, **labels}} if labels else body


class FormParser(BaseParser):
    """The parser of multipart/form-data."""

    media_type = "multipart/form-data"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        """Return what the JSON parser would return, with a file as its mapping.

        The model that the form names decides what its texts mean; without one, it is the model of the generation that
        is run again (`source_model` of the context), or the default one. Raise BodyTooLarge, ParseError or
        ValidationError.
        """
        request = parser_context["request"]
        check_body(request)
        parser, form = PartParser(boundary_of(request.content_type), max_segment_count=MAX_PARTS), Form()
        left = stated_length(request)
        try:
            while left and (chunk := stream.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                for event in parser.events(chunk):
                    form.add(event)
            if left:
                raise ParseError("The body ended before its Content-Length.")
            parser.close()
        except (MultipartError, Unreadable) as error:
            raise ParseError(f"The form can not be read: {error}.") from error
        finally:
            form.close()
        return form.as_json(parser_context.get("source_model"))
