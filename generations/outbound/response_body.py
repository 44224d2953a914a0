"""Read the body of another host's answer within a limit of bytes, and undo its Content-Encoding.

A Content-Encoding is a list of names in any case, perhaps over several lines: RFC 9110, 8.4. A name that is no
compression is passed over, as the Fetch standard has it for browsers: stores keep `aws-chunked` from uploads with a
checksum, and what else an uploader wrote, such as `utf-8` or `base64`.
"""

import io
import zlib
from collections.abc import Iterator

import httpx

from generations.outbound.errors import BodyUndecodable, FetchTooLarge, OutboundError
from generations.outbound.transport import Response

PIECE_BYTES = 64 * 1024  # the most that is unpacked at once
MAX_COMPRESSIONS = 2  # of one body, one inside the other: more would serve an attacker only
GZIP, DEFLATE = ("gzip", "x-gzip"), "deflate"
GZIP_START = b"\x1f\x8b"
ZLIB_WINDOW, GZIP_WINDOW, RAW_WINDOW = 15, 31, -15  # zlib's `wbits` of a zlib, a gzip and a headless stream
# The registry at https://www.iana.org/assignments/http-parameters, and names in use that are not registered.
UNREADABLE = set(
    "br zstd compress x-compress dcb dcz exi pack200-gzip bzip2 x-bzip2 bz2 xz x-xz lzma lz4 snappy zip".split()
)


def read(response: Response, limit: int) -> bytes:
    """Return the whole body, unpacked. Raise FetchTooLarge or FetchFailed; `received` of either is what had come."""
    received = io.BytesIO()  # not a list of chunks: the peer decides how small they are
    try:
        for chunk in _bounded(response.chunks, limit):
            received.write(chunk)
        return b"".join(_unpack_all(compressions(response.headers), iter([received.getvalue()]), limit))
    except OutboundError as error:
        error.received = received.getvalue()
        raise


def stream(response: Response, limit: int) -> Iterator[bytes]:
    """Return an iterator of the body, unpacked, which raises FetchTooLarge once it exceeds `limit` bytes.

    Raise BodyUndecodable if the body's compression is none that this module can undo.
    """
    return _unpack_all(compressions(response.headers), _bounded(response.chunks, limit), limit)


def compressions(headers: httpx.Headers) -> list[str]:
    """Return the names of the body's compressions, in the order in which they were applied."""
    names = [name.strip().lower() for name in headers.get("Content-Encoding", "").split(",")]
    return [name for name in names if name in (*GZIP, DEFLATE) or name in UNREADABLE]


def _unpack_all(names: list[str], chunks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """Return the chunks after every compression has been undone. Raise BodyUndecodable for an unreadable one."""
    if unreadable := UNREADABLE.intersection(names):
        raise BodyUndecodable(f"its body is compressed with {min(unreadable)}, which is not read here")
    if len(names) > MAX_COMPRESSIONS:
        raise BodyUndecodable(f"its body is compressed {len(names)} times")
    for name in reversed(names):
        chunks = _bounded(_unpack(name, chunks), limit)
    return chunks


def _unpack(name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the unpacked bytes, PIECE_BYTES at most at a time: a bomb takes no memory. An empty body stays empty.

    Raise BodyUndecodable if the bytes are not of this compression, or are cut off. What follows their end is not read.
    """
    try:
        inflater, rest = None, b""
        for chunk in chunks:
            rest += chunk
            while len(rest) >= len(GZIP_START) or (rest and inflater and not inflater.eof):
                if inflater is None or inflater.eof:
                    if inflater and not (name in GZIP and rest.startswith(GZIP_START)):
                        return
                    inflater = zlib.decompressobj(_window(name, rest))  # a gzip body has one member or more
                yield inflater.decompress(rest, PIECE_BYTES)
                rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        if inflater:
            yield inflater.flush()  # less than a piece: it has taken all input before
        if not inflater.eof if inflater else rest:
            raise BodyUndecodable(f"its body is compressed with {name}, and cut off")
    except zlib.error as error:
        raise BodyUndecodable(f"its body is not compressed with {name}, as it says it is") from error


def _window(name: str, start: bytes) -> int:
    """Return zlib's `wbits` for a stream with that start. Senders of `deflate` may leave out zlib's header."""
    if name in GZIP:
        return GZIP_WINDOW
    has_zlib_header = start[0] & 0x0F == zlib.DEFLATED and int.from_bytes(start[:2]) % 31 == 0
    return ZLIB_WINDOW if has_zlib_header else RAW_WINDOW


def _bounded(chunks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """Yield the chunks. Raise FetchTooLarge once they exceed `limit` bytes."""
    received = 0
    for chunk in chunks:
        received += len(chunk)
        if received > limit:
            raise FetchTooLarge(f"more than {limit} bytes")
        yield chunk
