"""The poster of a video: its first frame as a JPEG."""

import io

import av

JPEG_QUALITY = 85  # of 100: above it bytes grow and no difference is seen


def encode_first_frame(container: av.container.InputContainer) -> bytes:
    """Return the first frame of the first video stream as a JPEG.

    Moves the container's position. Raise PyAV's errors, or StopIteration if there is no frame.
    """
    frame = next(container.decode(container.streams.video[0]))
    poster = io.BytesIO()
    frame.to_image().save(poster, "JPEG", quality=JPEG_QUALITY)
    return poster.getvalue()
