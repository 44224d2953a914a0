"""The poster of a video: its first frame as a JPEG."""

import io

import av
from PIL import Image

JPEG_QUALITY = 85  # of 100: above it bytes grow and no difference is seen
MAX_PIXELS = 1920 * 1088  # larger frames are reduced; none of the catalogue's is larger

TURNS = {
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,  # Pillow turns anticlockwise
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}


def encode(frame: av.VideoFrame, width: int, height: int, matrix: tuple[int, int, int, int]) -> bytes:
    """Return the frame as a JPEG of that size, at most MAX_PIXELS, and then turned by the matrix of `mp4_tracks`."""
    scale = min((MAX_PIXELS / (width * height)) ** 0.5, 1)
    still = frame.to_image(width=max(int(width * scale), 1), height=max(int(height * scale), 1))
    if (turn := TURNS.get(matrix)) is not None:
        still = still.transpose(turn)
    poster = io.BytesIO()
    still.save(poster, "JPEG", quality=JPEG_QUALITY)
    return poster.getvalue()
