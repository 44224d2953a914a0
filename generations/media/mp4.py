"""Read the boxes of an MP4: whether the file is whole, and what a decoder may see of it.

A file is whole if its moov box is, and if every sample lies inside the file. What stands behind the last whole box does
not matter. FFmpeg reads a box wherever it stands, and believes its numbers. So all boxes that are not needed here are
hidden from FFmpeg, and the numbers of the others are checked first: 30 kB could cost it gigabytes.
Source: ISO/IEC 14496-12.
"""

import bisect
import io
import itertools
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

MAX_HEADER_BYTES = 16 * 1024**2  # of moov and all moof boxes; those of a video of 10 s have 5 kB
MAX_BOXES = 50_000  # a minute with a fragment for each frame has 10,000
MAX_ROWS = 250_000  # of a table, and samples of a file; a video of 10 s has 241

FIRST = {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pdin"}
FRAGMENT = {b"styp", b"sidx", b"moof", b"mdat", b"prft", b"emsg"}  # a fragment begins with one of these
MANY = {b"trak", b"trex", b"traf", b"trun"}  # may stand several times in their parent; others only once

# The boxes that are read, by their parent.
CHILDREN: Mapping[bytes, set[bytes]] = {
    b"moov": {b"mvhd", b"trak", b"mvex"},
    b"mvex": {b"trex"},
    b"trak": {b"tkhd", b"edts", b"mdia"},
    b"edts": {b"elst"},
    b"mdia": {b"mdhd", b"hdlr", b"minf"},
    b"minf": {b"vmhd", b"stbl"},
    b"stbl": {b"stsd", b"stts", b"ctts", b"cslg", b"stsc", b"stsz", b"stz2", b"stco", b"co64", b"stss"},
    b"moof": {b"mfhd", b"traf"},
    b"traf": {b"tfhd", b"tfdt", b"trun"},
}


class BadVideo(Exception):
    """The bytes are not a whole MP4 video."""


class Box(NamedTuple):
    """A box among bytes that were read, with the boxes in it that `CHILDREN` names."""

    kind: bytes
    start: int  # offset of its header in the file
    offset: int  # of its body
    body: memoryview
    children: "dict[bytes, list[Box]]"

    def find(self, *kinds: bytes) -> "Box | None":
        """Return the box at the end of the path, or None."""
        box: Box | None = self
        for kind in kinds:
            box = next(iter(box.children.get(kind, [])), None) if box else None
        return box

    def need(self, *kinds: bytes) -> "Box":
        """Return the box at the end of the path. Raise BadVideo if there is none."""
        if (box := self.find(*kinds)) is None:
            raise BadVideo(f"the MP4 has no {b'/'.join(kinds).decode()} in its {self.kind.decode()}")
        return box

    @property
    def is_long(self) -> bool:
        """Return whether the box has the version whose times have 64 bits."""
        return self.body[:1].tobytes() == b"\1"

    def unpack(self, layout: str, at: int = 0) -> tuple[int, ...]:
        """Return the big-endian numbers at this place of the body. Raise BadVideo if the body ends before."""
        try:
            return struct.unpack_from(f">{layout}", self.body, at)
        except struct.error as error:
            raise BadVideo(f"the MP4's box {self.kind.decode()} is too short") from error

    def table(self, layout: str) -> Iterator[tuple[int, ...]]:
        """Return the rows of a table, whose number stands in front of the first. Raise BadVideo as `rows` does."""
        return self.rows(layout, 8, *self.unpack("I", 4))

    def rows(self, layout: str, at: int, count: int) -> Iterator[tuple[int, ...]]:
        """Return that many rows of big-endian numbers. Raise BadVideo if the body ends before, or if they are many."""
        size = count * struct.calcsize(f">{layout}")
        if count > MAX_ROWS:
            raise BadVideo(f"the MP4 has a table of {count} entries, more than {MAX_ROWS}")
        if at + size > len(self.body):
            raise BadVideo(f"the MP4's box {self.kind.decode()} is too short for its {count} entries")
        return struct.iter_unpack(f">{layout}", self.body[at : at + size])


@dataclass
class Layout:
    """The boxes of a file: where they are, and which bytes to change before FFmpeg reads them."""

    end: int = 0  # of the last whole box
    moov: Box | None = None
    fragments: list[Box] = field(default_factory=list)
    patches: dict[int, bytes] = field(default_factory=dict)  # offset -> four bytes that FFmpeg reads there
    frames: int | None = None  # offset of the last box, if it is mdat
    is_cut: bool = False  # something stands behind the last whole box
    boxes: int = 0

    def hide(self, start: int) -> None:
        """Let the box at this offset look like an empty space."""
        self.patches[start + 4] = b"free"

    def count(self) -> None:
        """Count a box. Raise BadVideo if there are too many."""
        self.boxes += 1
        if self.boxes > MAX_BOXES:
            raise BadVideo(f"the MP4 has more than {MAX_BOXES} boxes")


def read_layout(file: BinaryIO) -> Layout:
    """Return the boxes of the file. Raise BadVideo if it is no MP4, or was cut off before the end of its moov."""
    layout, length, header_bytes = Layout(), file.seek(0, io.SEEK_END), 0
    if not length:
        raise BadVideo("there are no bytes")
    while layout.end < length and not layout.is_cut:
        layout.count()
        start, kind, size, head = _read_header(file, layout.end, length)
        if start == 0 and kind not in FIRST:
            raise BadVideo("the bytes do not begin as an MP4 does")
        if kind == b"mdat" and size >= head:  # its samples decide whether it is whole
            layout.end, layout.frames = min(start + size, length), start
        elif not head <= size <= length - start:
            _end_within_a_box(layout, length, kind)
        else:
            layout.end, layout.frames = start + size, None
            if (kind == b"moov" and not layout.moov) or (kind == b"moof" and layout.moov):
                header_bytes += size
                if header_bytes > MAX_HEADER_BYTES:
                    raise BadVideo(f"the MP4 has more than {MAX_HEADER_BYTES} bytes of headers")
                _read_box(file, layout, kind, start, head, size)
            elif kind != b"ftyp":
                layout.hide(start)
    if layout.moov is None:
        raise BadVideo("the MP4 has no moov box: it is cut off, or was never finished")
    return layout


def _read_header(file: BinaryIO, start: int, length: int) -> tuple[int, bytes, int, int]:
    """Return start, kind and size of a box, and the size of its header."""
    file.seek(start)
    header = file.read(16)
    size, kind = int.from_bytes(header[:4], "big"), header[4:8]
    if size == 1:
        return start, kind, int.from_bytes(header[8:16], "big"), 16
    if size == 0 and len(kind) == 4:  # the box reaches to the end of the file
        size = length - start
    return start, kind, size, 8


def _read_box(file: BinaryIO, layout: Layout, kind: bytes, start: int, head: int, size: int) -> None:
    """Read a moov or moof box into the layout."""
    file.seek(start + head)
    box = _parse(layout, kind, start, memoryview(file.read(size - head)), start + head)
    if kind == b"moof":
        layout.fragments.append(box)
    else:
        layout.moov = box


def _parse(layout: Layout, kind: bytes, start: int, body: memoryview, offset: int) -> Box:
    """Return the box with its children. `offset` is that of the body in the file. Hide boxes that are not read."""
    children: dict[bytes, list[Box]] = {}
    for child, at, head, size in split(body, kind) if kind in CHILDREN else ():
        layout.count()
        if child not in CHILDREN[kind]:
            layout.hide(offset + at)
            continue
        siblings = children.setdefault(child, [])
        if siblings and child not in MANY:
            raise BadVideo(f"the MP4 has two {child.decode()} boxes in a {kind.decode()}")
        siblings.append(_parse(layout, child, offset + at, body[at + head : at + size], offset + at + head))
    return Box(kind, start, offset, body, children)


def split(body: memoryview, parent: bytes, at: int = 0) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield kind, offset, header size and size of each box in a body. Raise BadVideo if a box is not inside."""
    while at + 8 <= len(body):
        size, kind, head = int.from_bytes(body[at : at + 4], "big"), bytes(body[at + 4 : at + 8]), 8
        if size == 1:
            size, head = int.from_bytes(body[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = len(body) - at
        if not head <= size <= len(body) - at:
            raise BadVideo(f"the MP4's box {parent.decode()} is broken")
        yield kind, at, head, size
        at += size


def _end_within_a_box(layout: Layout, length: int, kind: bytes) -> None:
    """End the layout at bytes that are no whole box. Raise BadVideo if they begin as a fragment does."""
    if layout.moov and layout.moov.find(b"mvex") and _begins_a_fragment(kind):
        raise BadVideo("the MP4 is cut off within a fragment")
    if layout.moov is None:
        raise BadVideo("the MP4 is cut off: it ends before its moov box does")
    if layout.frames is not None:  # the size of the frames' box may be too small: it reaches to the end of the file
        layout.end, layout.patches[layout.frames] = length, bytes(4)
    layout.is_cut = True


def _begins_a_fragment(kind: bytes) -> bool:
    return bool(kind) and any(name.startswith(kind) for name in FRAGMENT)


class View:
    """The file as FFmpeg may see it: without what stands behind its end, and with some boxes hidden."""

    def __init__(self, file: BinaryIO, layout: Layout) -> None:
        self._file, self._end, self._at = file, layout.end, 0
        self._patches = sorted(layout.patches.items())

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position and return it."""
        self._at = max(offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._end}[whence], 0)
        return self._at

    def read(self, count: int) -> bytes:
        """Return up to `count` bytes from the position on."""
        start, ends = self._at, min(self._at + count, self._end)
        if start >= ends:
            return b""
        self._file.seek(start)
        content = bytearray(self._file.read(ends - start))
        self._at += len(content)
        first = bisect.bisect_right(self._patches, start - 4, key=lambda patch: patch[0])
        for offset, patch in itertools.islice(self._patches, first, None):
            if offset >= ends:
                break
            for at, byte in enumerate(patch, offset - start):
                if 0 <= at < len(content):
                    content[at] = byte
        return bytes(content)
