"""MP4 files for tests: whole, cut off, turned, edited and hostile. Built from rendered videos, box by box."""

import io
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av

CONTAINERS = {b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl", b"mvex", b"moof", b"traf"}
VIDEO_TABLES = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def box(kind: bytes, *bodies: bytes) -> bytes:
    """Return a box."""
    body = b"".join(bodies)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def full_box(kind: bytes, *bodies: bytes) -> bytes:
    """Return a box with version 0 and no flags."""
    return box(kind, bytes(4), *bodies)


def remux(source: bytes, flags: str = "") -> bytes:
    """Return the frames of `source` in another MP4, with FFmpeg's movflags. Without flags moov stands at the end."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.mp4"
        options = {"movflags": flags} if flags else {}
        with av.open(io.BytesIO(source)) as opened, av.open(str(path), "w", format="mp4", options=options) as remuxed:
            stream = remuxed.add_stream_from_template(opened.streams.video[0])
            for packet in opened.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    remuxed.mux(packet)
        return path.read_bytes()


def find(content: bytes, *kinds: bytes) -> tuple[int, int]:
    """Return the offsets of the body and of the end of the first box at that path."""
    start, end = 0, len(content)
    for kind in kinds:
        while True:
            size, found, head = int.from_bytes(content[start : start + 4]), content[start + 4 : start + 8], 8
            if size == 1:
                size, head = int.from_bytes(content[start + 8 : start + 16]), 16
            if found == kind:
                start, end = start + head, start + size if size else end
                break
            start += size
            assert start < end, kind
    return start, end


def body(content: bytes, *kinds: bytes) -> bytes:
    """Return the body of the box at that path."""
    start, end = find(content, *kinds)
    return content[start:end]


def change(content: bytes, path: tuple[bytes, ...], new: bytes | Callable[[bytes], bytes]) -> bytes:
    """Return the file with another body of the box at that path, and the sizes of its parents mended.

    What lies behind the box moves, so moov must stand behind the frames.
    """
    start, end = find(content, *path)
    replaced = new(content[start:end]) if callable(new) else new
    changed = content[:start] + replaced + content[end:]
    for depth in range(len(path), 0, -1):
        at = find(content, *path[:depth])[0] - 8
        size = int.from_bytes(content[at : at + 4]) + len(replaced) - (end - start)
        changed = changed[:at] + struct.pack(">I", size) + changed[at + 4 :]
    return changed


def add(content: bytes, path: tuple[bytes, ...], *boxes: bytes) -> bytes:
    """Return the file with more boxes at the end of the box at that path."""
    return change(content, path, lambda old: old + b"".join(boxes))


def with_edits(content: bytes, *edits: tuple[int, int]) -> bytes:
    """Return the file with this edit list: (length in the movie's time scale, start in the track's)."""
    rows = b"".join(struct.pack(">IiHH", length, start, 1, 0) for length, start in edits)
    elst = full_box(b"elst", struct.pack(">I", len(edits)), rows)
    try:
        return change(content, (b"moov", b"trak", b"edts"), elst)
    except AssertionError:
        return add(content, (b"moov", b"trak"), box(b"edts", elst))


def with_matrix(content: bytes, a: int, b: int, c: int, d: int) -> bytes:
    """Return the file whose track is turned by this matrix."""
    start, _ = find(content, b"moov", b"trak", b"tkhd")
    matrix = struct.pack(">9i", a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30)
    return content[: start + 40] + matrix + content[start + 76 :]


class Bits:
    """Write an H.264 parameter set bit by bit."""

    def __init__(self) -> None:
        self.text = ""

    def fixed(self, value: int, length: int) -> None:
        """Write a number of a fixed length."""
        self.text += f"{value:0{length}b}"

    def golomb(self, *values: int) -> None:
        """Write unsigned Exp-Golomb numbers."""
        for value in values:
            bits = f"{value + 1:b}"
            self.text += "0" * (len(bits) - 1) + bits

    def content(self) -> bytes:
        """Return the bytes, with the stop bit, and escaped."""
        bits = self.text + "1"
        bits += "0" * (-len(bits) % 8)
        plain = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8))
        escaped, zeros = bytearray(), 0
        for byte in plain:
            if zeros >= 2 and byte <= 3:
                escaped.append(3)
                zeros = 0
            escaped.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return bytes(escaped)


def sps(width: int, height: int) -> bytes:
    """Return an H.264 sequence parameter set, of the baseline profile, for frames of that size."""
    bits = Bits()
    bits.fixed(0x67, 8)
    bits.fixed(66, 8)
    bits.fixed(0xC0, 8)
    bits.fixed(62, 8)  # level 6.2
    bits.golomb(0, 0, 2, 16)  # id, frame numbers, order, reference frames
    bits.fixed(0, 1)
    bits.golomb(width // 16 - 1, height // 16 - 1)
    bits.fixed(0b1100, 4)  # frames only, direct inference, no cropping, no VUI
    return bits.content()


def with_sps(content: bytes, parameter_set: bytes) -> bytes:
    """Return the file whose decoder configuration has this sequence parameter set. Its frames are left as they are."""

    def replace(stsd: bytes) -> bytes:
        at = stsd.index(b"avcC") + 4
        length = int.from_bytes(stsd[at + 6 : at + 8])
        rest = stsd[at + 8 + length :]
        grown = len(parameter_set) - length
        head = bytearray(stsd[:at] + stsd[at : at + 6] + struct.pack(">H", len(parameter_set)) + parameter_set + rest)
        for offset in (8, at - 8):  # the sample entry and avcC
            struct.pack_into(">I", head, offset, int.from_bytes(head[offset : offset + 4]) + grown)
        return bytes(head)

    return change(content, (*VIDEO_TABLES, b"stsd"), replace)


def with_hevc_size(content: bytes, width: int, height: int) -> bytes:
    """Return the HEVC file whose sequence parameter set announces frames of that size."""

    def replace(stsd: bytes) -> bytes:
        at = stsd.index(b"\x42\x01\x01")  # a parameter set of a stream with one layer
        length = int.from_bytes(stsd[at - 2 : at])
        text = "".join(f"{byte:08b}" for byte in stsd[at : at + length].replace(b"\0\0\3", b"\0\0"))
        bits, rest = Bits(), text[16 + 8 + 96 :]  # behind the header, the identifiers and the profile
        bits.text = text[: 16 + 8 + 96]
        old = [read_golomb(rest, 4)[0][index] for index in range(4)]
        bits.golomb(*old[:2], width, height)
        bits.text += read_golomb(rest, 4)[1].rstrip("0")[:-1]
        changed = bits.content()
        grown = len(changed) - length
        new = bytearray(stsd[: at - 2] + struct.pack(">H", len(changed)) + changed + stsd[at + length :])
        for offset in (8, stsd.index(b"hvcC") - 4):
            struct.pack_into(">I", new, offset, int.from_bytes(new[offset : offset + 4]) + grown)
        return bytes(new)

    return change(content, (*VIDEO_TABLES, b"stsd"), replace)


def read_golomb(text: str, count: int) -> tuple[list[int], str]:
    """Return that many Exp-Golomb numbers from the start of the bits, and the rest."""
    numbers = []
    for _ in range(count):
        zeros = len(text) - len(text.lstrip("0"))
        numbers.append(int(text[zeros : 2 * zeros + 1], 2) - 1)
        text = text[2 * zeros + 1 :]
    return numbers, text


def with_header_size(content: bytes, width: int, height: int) -> bytes:
    """Return the file whose sample entry announces frames of that size."""
    start, _ = find(content, *VIDEO_TABLES, b"stsd")
    at = start + 8 + 8 + 24
    return content[:at] + struct.pack(">HH", width, height) + content[at + 4 :]


def encode(codec: str, width: int, height: int, frames: int, **options: Any) -> bytes:
    """Return an MP4 with black frames of that codec.

    x265 reads decoding times that were never set where B-frames are on and a film has fewer frames than they need.
    """
    if codec == "libx265":
        options = {"x265-params": "bframes=0", **options}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "out.mp4"
        with av.open(str(path), "w", format="mp4") as container:
            stream = container.add_stream(codec, rate=24, options={"threads": "1", **options})
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            frame = av.VideoFrame(width, height, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            for number in range(frames):
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path.read_bytes()
