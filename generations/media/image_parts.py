"""What the readers of image formats share: bytes, parts that are counted, and what is raised for broken ones."""

import struct
from collections.abc import Iterable, Iterator
from mmap import mmap
from typing import TypeVar

MAX_PARTS = 600_000  # segments, chunks, blocks or tiles: a TIFF of 6000 x 6000 pixels in four planes has 565,000
Part = TypeVar("Part")
Content = bytes | mmap  # a file is mapped, so that its bytes are not read into memory


class Broken(Exception):
    """The bytes begin as a known format and do not go on as one."""


BROKEN = (Broken, struct.error, IndexError, OverflowError)


def bounded(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts. Raise Broken after MAX_PARTS, so that a hostile file cannot keep a thread busy."""
    for count, part in enumerate(parts):
        if count == MAX_PARTS:
            raise Broken("the image has too many parts")
        yield part
