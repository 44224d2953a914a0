"""Read an image from a caller's text or URL, and check it."""

from generations import errors, leases
from generations.media import images
from generations.outbound import addresses, fetch
from generations.outbound.errors import FetchRefused, FetchTooLarge


def from_text(text: str) -> str | images.Image:
    """Return the text if it is a URL that may be fetched, or the checked image that it holds as Base64.

    Raise a BadImage otherwise.
    """
    if not images.is_url(text):
        return images.inspect(images.decode(text))
    try:
        addresses.check_url(text)
    except FetchRefused as error:
        raise errors.ImageUrlRefused(reason=error) from error
    return text


def from_url(url: str) -> images.Image:
    """Fetch the image behind a caller's URL and check it.

    Raise a BadImage, or FetchFailed if another attempt may succeed.
    """
    try:
        return images.inspect(fetch.read(url, limit=images.MAX_BYTES, deadline=leases.IMAGE_CALL_SECONDS))
    except FetchRefused as error:
        raise errors.ImageUrlRefused(reason=error) from error
    except FetchTooLarge as error:
        raise errors.ImageTooManyBytes(taker=images.SERVICE, limit=images.MAX_BYTES) from error
