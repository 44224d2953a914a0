"""State for each error of an input image what a caller should do."""

from seedance_service.docs.advice import Advice

MODEL = "seedance-v1-lite-i2v"  # of the examples
IMAGE = "Send another image, or convert this image first. The same image is refused at every try."
FROM_URL = " An image behind a URL is checked later; then the generation fails with this code."

IMAGES: dict[str, Advice] = {
    "image_invalid": Advice(
        IMAGE, means="The general code of all `image_…` codes. Each answer has a more precise code."
    ),
    "image_not_url_or_base64": Advice("Send an https URL, a data URI, or plain Base64 without other characters."),
    "image_too_many_bytes": Advice(IMAGE + FROM_URL, facts={"taker": MODEL, "limit": 31457280}, message="{}"),
    "image_format_unknown": Advice(
        IMAGE + FROM_URL, facts={"taker": MODEL, "formats": "jpeg, png, webp, bmp, tiff, gif"}, message="{}"
    ),
    "image_incomplete": Advice("Send the whole file." + FROM_URL, facts={"format": "jpeg"}, message="{}"),
    "image_side_too_long": Advice(
        IMAGE + FROM_URL, facts={"taker": MODEL, "side": 8000, "limit": "less than 6000"}, message="{}"
    ),
    "image_side_too_short": Advice(
        IMAGE + FROM_URL, facts={"taker": MODEL, "side": 240, "limit": "more than 300"}, message="{}"
    ),
    "image_aspect_out_of_range": Advice(
        IMAGE + FROM_URL, facts={"taker": MODEL, "aspect": "3.0000", "range": "from 0.4 to 2.5"}, message="{}"
    ),
    "image_url_refused": Advice(
        "Give an https URL of a public host, or send the image itself." + FROM_URL,
        facts={"reason": "its host is not a public name"},
        message="{}",
    ),
    "image_unreachable": Advice(
        "Check that the URL answers from outside with the image. Then send a new create, or send the image itself.",
        means="The image behind a URL could not be read: its server answered that it does not serve it, or failed in "
        "four tries over about 15 seconds. A server that answers with `Retry-After` is asked again then, for up to an "
        "hour.",
        facts={"reason": "the server answered with HTTP 404"},
        apis=(),
        message="{}",
    ),
}
