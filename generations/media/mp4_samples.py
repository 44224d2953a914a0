"""Check the sample tables of an MP4: every sample lies inside the file, and their number is not too large."""

from collections.abc import Iterator

from generations.media.mp4 import MAX_ROWS, BadVideo, Box, Layout

MAX_SAMPLE_BYTES = 32 * 1024**2  # FFmpeg reads a sample into memory

# Flags of tfhd and trun boxes: which fields follow.
BASE_OFFSET, DESCRIPTION, DURATION, SIZE, BASE_IS_MOOF = 0x1, 0x2, 0x8, 0x10, 0x020000
RUN_OFFSET, RUN_FIRST_FLAGS, RUN_DURATIONS, RUN_SIZES, RUN_FIELDS = 0x1, 0x4, 0x100, 0x200, 0xF00


class Samples:
    """The samples of all tracks, counted while they are checked. Each check raises BadVideo."""

    def __init__(self, end: int) -> None:
        self._end, self.count = end, 0

    def check_track(self, trak: Box) -> None:
        """Check the samples that the track announces in moov."""
        stbl = trak.find(b"mdia", b"minf", b"stbl")
        if stbl is None:
            return
        for name in (b"stts", b"ctts"):
            times = stbl.find(name)
            if times and sum(count for count, _ in times.table("II")) > MAX_ROWS:
                raise BadVideo(f"the MP4 has more than {MAX_ROWS} samples")
        sizes, placed = self._sizes(stbl), 0
        for offset, samples in _chunks(stbl):
            chunk = sizes[placed : placed + samples]
            placed += len(chunk)
            self._check_extent(offset, chunk)
        if placed < len(sizes):
            raise BadVideo(f"the MP4 announces {len(sizes)} samples and places {placed}")

    def check_fragments(self, moov: Box, layout: Layout) -> bool:
        """Check the samples of the fragments. Return whether there are any. Hide fragments that moov does not announce.

        An MP4 that ends between two fragments is accepted: nothing in it says how many fragments there should be.
        """
        mvex = moov.find(b"mvex")
        if mvex is None:
            for fragment in layout.fragments:
                layout.hide(fragment.start)
            layout.fragments.clear()
            return False
        sizes = {trex.unpack("I", 4)[0]: trex.unpack("I", 16)[0] for trex in mvex.children.get(b"trex", [])}
        for fragment in layout.fragments:
            base = fragment.start
            for traf in fragment.children.get(b"traf", []):
                base = self._check_traf(traf, fragment.start, base, sizes)
        return bool(layout.fragments)

    def _check_traf(self, traf: Box, moof: int, base: int, sizes: dict[int, int]) -> int:
        """Check the runs of a track in a fragment. Return the offset of the end of the last."""
        tfhd = traf.need(b"tfhd")
        flags, track = tfhd.unpack("II")
        size, at = sizes.get(track, 0), 8
        if flags & BASE_OFFSET:
            (base,), at = tfhd.unpack("Q", at), at + 8
        elif flags & BASE_IS_MOOF:
            base = moof
        if flags & SIZE:
            (size,) = tfhd.unpack("I", at + 4 * bool(flags & DESCRIPTION) + 4 * bool(flags & DURATION))
        end = base
        for trun in traf.children.get(b"trun", []):
            end = self._check_run(trun, base, end, size)
        return end

    def _check_run(self, trun: Box, base: int, start: int, size: int) -> int:
        """Check a run of samples. Return the offset of its end."""
        flags, count = trun.unpack("II")
        at = 8
        if flags & RUN_OFFSET:
            start, at = base + trun.unpack("i", at)[0], at + 4
        at += 4 * bool(flags & RUN_FIRST_FLAGS)
        self._add(count)
        sizes = [size] * count
        if fields := (flags & RUN_FIELDS).bit_count():
            rows = trun.rows("I" * fields, at, count)
            if flags & RUN_SIZES:
                sizes = [row[bool(flags & RUN_DURATIONS)] for row in rows]
        return self._check_extent(start, sizes)

    def _check_extent(self, offset: int, sizes: list[int]) -> int:
        """Check that samples of these sizes lie inside the file. Return the offset of their end."""
        end = offset + sum(sizes)
        if max(sizes, default=0) > MAX_SAMPLE_BYTES:
            raise BadVideo(f"the MP4 has a sample of more than {MAX_SAMPLE_BYTES} bytes")
        if offset < 0 or end > self._end:
            raise BadVideo(f"the MP4 is cut off: it ends at byte {self._end}, before its samples do")
        return end

    def _sizes(self, stbl: Box) -> list[int]:
        """Return the size of each sample, from either form of the table."""
        if stsz := stbl.find(b"stsz"):
            size, count = stsz.unpack("II", 4)
            self._add(count)
            return [size] * count if size else [size for (size,) in stsz.rows("I", 12, count)]
        stz2 = stbl.find(b"stz2")
        if stz2 is None:
            return []
        bits, count = stz2.unpack("BI", 7)
        self._add(count)
        if bits == 4:
            return [half for (byte,) in stz2.rows("B", 12, -(-count // 2)) for half in (byte >> 4, byte & 15)][:count]
        return [size for (size,) in stz2.rows("H" if bits == 16 else "B", 12, count)]

    def _add(self, count: int) -> None:
        self.count += count
        if self.count > MAX_ROWS:
            raise BadVideo(f"the MP4 has more than {MAX_ROWS} samples")


def _chunks(stbl: Box) -> Iterator[tuple[int, int]]:
    """Yield offset and number of samples of each chunk."""
    long, short = stbl.find(b"co64"), stbl.find(b"stco")
    places = long.table("Q") if long else short.table("I") if short else iter(())
    offsets = [offset for (offset,) in places]
    stsc = stbl.find(b"stsc")
    runs = [(first, samples) for first, samples, _ in stsc.table("III")] if stsc else []
    ends = [*(first for first, _ in runs[1:]), len(offsets) + 1]
    for (first, samples), following in zip(runs, ends, strict=False):  # there are no runs in an empty table
        if not 1 <= first <= following <= len(offsets) + 1:
            raise BadVideo("the MP4's chunks are not in order")
        for offset in offsets[first - 1 : following - 1]:
            yield offset, samples
