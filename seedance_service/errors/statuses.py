"""The HTTP status of every error: under /v1/, and with its reason on Novita's wire. Each error has one row here."""

from typing import NamedTuple

from django.db import OperationalError

from generations import errors
from generations.bucket.errors import StorageError
from tenants.errors import (
    AddressNotAllowed,
    BodyTooSlow,
    BudgetReached,
    ChangedConcurrently,
    InvalidKey,
    LimitReached,
    ModelNotAllowed,
    NoSandbox,
    NotPossible,
    ScopeMissing,
    TenantSuspended,
    TooManyBodies,
    TooManyFailures,
)


class Row(NamedTuple):
    """The statuses of one error."""

    status: int
    wire_status: int  # on Novita's wire
    wire_reason: str  # a word of Novita's page of errors


TABLE: dict[type[Exception], Row] = {
    InvalidKey: Row(401, 403, "INVALID_API_KEY"),
    AddressNotAllowed: Row(403, 403, "API_NOT_ALLOWED"),
    ScopeMissing: Row(403, 403, "API_NOT_ALLOWED"),
    TooManyFailures: Row(429, 429, "RATE_LIMIT_EXCEEDED"),
    TooManyBodies: Row(503, 503, "CREATE_TASK_FAILED"),
    BodyTooSlow: Row(408, 408, "INVALID_REQUEST_BODY"),
    ModelNotAllowed: Row(403, 403, "API_NOT_ALLOWED"),
    TenantSuspended: Row(403, 403, "API_NOT_ALLOWED"),
    NoSandbox: Row(503, 503, "CREATE_TASK_FAILED"),
    ChangedConcurrently: Row(503, 503, "CREATE_TASK_FAILED"),
    NotPossible: Row(409, 409, "INVALID_REQUEST_BODY"),
    LimitReached: Row(429, 429, "RATE_LIMIT_EXCEEDED"),
    BudgetReached: Row(402, 400, "BILLING_BALANCE_NOT_ENOUGH"),
    errors.GenerationNotFound: Row(404, 404, "TASK_NOT_FOUND"),
    errors.WebhookEndpointNotFound: Row(404, 404, "INVALID_REQUEST_BODY"),
    errors.DeliveryNotFound: Row(404, 404, "INVALID_REQUEST_BODY"),
    errors.ModelNotFound: Row(404, 404, "API_NOT_FOUND"),
    errors.InputsGone: Row(409, 409, "INVALID_REQUEST_BODY"),
    errors.VideoNotReady: Row(409, 409, "INVALID_REQUEST_BODY"),
    errors.NoVideo: Row(409, 409, "INVALID_REQUEST_BODY"),
    errors.VideoDeleted: Row(410, 410, "INVALID_REQUEST_BODY"),
    errors.ModelUnknown: Row(410, 404, "API_NOT_FOUND"),
    errors.ModelRetired: Row(410, 404, "API_NOT_FOUND"),
    errors.ModelNotOffered: Row(503, 503, "CREATE_TASK_FAILED"),
    errors.PriceUnknown: Row(503, 503, "CREATE_TASK_FAILED"),
    errors.BadImage: Row(400, 400, "INVALID_IMAGE_FORMAT"),
    errors.ImageUnreadable: Row(400, 400, "INVALID_IMAGE_FORMAT"),
    errors.ImageTooManyBytes: Row(400, 400, "IMAGE_FILE_EXCEEDS_MAX_SIZE"),
    errors.ImageFormatUnknown: Row(400, 400, "INVALID_IMAGE_FORMAT"),
    errors.ImageIncomplete: Row(400, 400, "INVALID_IMAGE_FORMAT"),
    errors.ImageTooLarge: Row(400, 400, "IMAGE_EXCEEDS_MAX_RESOLUTION"),
    errors.ImageTooSmall: Row(400, 400, "INVALID_IMAGE_SIZE"),
    errors.ImageAspectOutOfRange: Row(400, 400, "INVALID_IMAGE_SIZE"),
    errors.ImageUrlRefused: Row(400, 400, "INVALID_REQUEST_BODY"),
    errors.ImageUnreachable: Row(400, 400, "INVALID_REQUEST_BODY"),
    errors.IdempotencyKeyReused: Row(422, 422, "INVALID_REQUEST_BODY"),
    StorageError: Row(503, 503, "CREATE_TASK_FAILED"),
    OperationalError: Row(503, 503, "CREATE_TASK_FAILED"),
}
# Reasons on Novita's wire for the frameworks' own errors, by status: an unknown content type, a permission …
WIRE_REASONS = {
    403: "API_NOT_ALLOWED",
    404: "API_NOT_FOUND",
    429: "RATE_LIMIT_EXCEEDED",
    500: "INTERNAL_ERROR",
    503: "CREATE_TASK_FAILED",
}
# Errors without a class: Django's handlers and our middlewares answer with these.
PLAIN = {
    "bad_request": (400, "The request is not one that can be answered."),
    "not_found": (404, "There is nothing at this address."),
    "method_not_allowed": (405, "This address is only read."),
    "body_too_large": (413, "The body has more bytes than this address takes."),
    "internal_error": (500, "The service failed. It has written down why."),
}


def for_status(status: int) -> Row:
    """Return the row of an error of Django or REST framework, which has a status and no class of ours."""
    return Row(status, status, WIRE_REASONS.get(status, "INVALID_REQUEST_BODY"))
