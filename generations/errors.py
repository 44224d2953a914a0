"""Errors of requests about generations. A class's docstring is the message for people, its `code` is for programs."""

from tenants.errors import Refusal


class GenerationNotFound(Refusal):
    """There is no such generation."""

    code = "generation_not_found"


class WebhookEndpointNotFound(Refusal):
    """There is no such webhook endpoint."""

    code = "webhook_endpoint_not_found"


class DeliveryNotFound(Refusal):
    """There is no such webhook delivery."""

    code = "webhook_delivery_not_found"


class IdempotencyKeyReused(Refusal):
    """This Idempotency-Key came with another request before: another body, or at another address."""

    code = "idempotency_key_reused"


class InputsGone(Refusal):
    """The input images are no longer in the bucket: they were deleted. Send them again with a new create."""

    code = "inputs_gone"


class VideoNotReady(Refusal):
    """The video is not there yet: the generation is {status}."""

    code = "video_not_ready"


class NoVideo(Refusal):
    """There will be no video: {reason}"""

    code = "no_video"


class VideoDeleted(Refusal):
    """The video was deleted on {at}."""

    code = "video_deleted"


class ModelNotFound(Refusal):
    """There is no such model. GET /v1/models lists those that the key may use."""

    code = "model_not_found"


class ModelUnknown(Refusal):
    """The catalogue of this service no longer has the model {model}."""

    code = "model_unknown"


class ModelRetired(Refusal):
    """The model {model} is retired{since}. {remedy}"""

    code = "model_retired"


class ModelNotOffered(Refusal):
    """The service has no upstream account for the model {model}: its operators have to set one up."""

    code = "model_not_offered"


class PriceUnknown(Refusal):
    """No price is known of such a video of {model}: the operators of this service have to set one first."""

    code = "price_unknown"


class BadImage(Refusal):
    """The image can not be used."""

    code = "image_invalid"
    field = "image"  # the field of the request that holds the image: image or last_image


class ImageUnreadable(BadImage):
    """The image is neither an http(s) URL nor valid Base64."""

    code = "image_not_url_or_base64"


class ImageTooManyBytes(BadImage):
    """The image has more than {limit} bytes, which is the most that {taker} takes."""

    code = "image_too_many_bytes"


class ImageFormatUnknown(BadImage):
    """The image has none of the formats that {taker} takes: {formats}."""

    code = "image_format_unknown"


class ImageIncomplete(BadImage):
    """The image is cut off: its {format} data end too early."""

    code = "image_incomplete"


class ImageTooLarge(BadImage):
    """The image's longer side is {side} pixels; {taker} takes {limit}."""

    code = "image_side_too_long"


class ImageTooSmall(BadImage):
    """The image's shorter side is {side} pixels; {taker} takes {limit}."""

    code = "image_side_too_short"


class ImageAspectOutOfRange(BadImage):
    """The image's aspect ratio is {aspect}; {taker} takes {range}."""

    code = "image_aspect_out_of_range"


class ImageUrlRefused(BadImage):
    """The image's URL is not read: {reason}."""

    code = "image_url_refused"


class ImageUnreachable(BadImage):
    """The image could not be read from its URL: {reason}."""

    code = "image_unreachable"
