"""The steps that both APIs share in a create: from a body to a request, and from a request to one generation."""

import threading
from collections.abc import Callable
from typing import Any

import structlog
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from generations.api import retirement_headers
from generations.api.request_bodies import Create
from generations.catalog import video_models
from generations.intake import create, idempotency
from generations.intake.create import Accepted
from generations.intake.generation_request import GenerationRequest
from generations.intake.idempotency import IdempotencyKey
from tenants.api.base import key_of
from tenants.db import clock
from tenants.limits import ratelimit_headers

log = structlog.stdlib.get_logger(__name__)

MAX_IDEMPOTENCY_KEY_CHARS = 255
IDEMPOTENCY_KEY_PARAMETER = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_CHARS, "pattern": "^[ -~]*$"},
    OpenApiParameter.HEADER,
    description=(
        f"1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters of the caller's choice. The same key with "
        "the same request creates no other generation and counts towards no limit: the first answer comes again, with "
        "`Idempotent-Replayed: true`."
    ),
)

_forms = threading.local()


def read_request(kind: type[Create], body: Any, **context: Any) -> GenerationRequest:
    """Return the request that the body holds. Raise ValidationError.

    The body is emptied: the framework's objects refer to each other, and would hold its images until the garbage
    collector comes.
    """
    form = _blank_form(kind)
    form.initial_data, form._context = body, context
    try:
        form.is_valid(raise_exception=True)
        return form.to_request()
    finally:
        if body:  # an absent body may be an empty QueryDict, which can not be cleared
            body.clear()
        form.__dict__.get("_validated_data", {}).clear()  # there are none if the source of a rerun is gone
        form.initial_data, form._context = None, {}


def _blank_form(kind: type[Create]) -> Create:
    """Return this thread's serializer, as if it were new: making the fields takes longer than checking a body."""
    form: Create | None = _forms.__dict__.get(kind.__name__)
    if form is None:
        form = _forms.__dict__[kind.__name__] = kind(data=None)
    for attribute in ("_validated_data", "_errors", "_data"):
        form.__dict__.pop(attribute, None)
    return form


def accept(request: Request, generation_request: GenerationRequest) -> Accepted:
    """Create the generation, once for all requests with the same Idempotency-Key."""
    key = idempotency_key(request, generation_request)
    return create.create_generation(key_of(request), generation_request, key)


def idempotency_key(request: Request, generation_request: GenerationRequest) -> IdempotencyKey | None:
    """Return the request's Idempotency-Key with the digest of the request, or None without the header.

    Raise ValidationError if the header holds no such key.
    """
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not (0 < len(key) <= MAX_IDEMPOTENCY_KEY_CHARS and key.isascii() and key.isprintable()):
        message = f"This must be 1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters."
        raise ValidationError({"Idempotency-Key": [message]})
    return IdempotencyKey(key, idempotency.digest(request.path, generation_request))


def answer_committed(
    accepted: Accepted, answer: Callable[[], HttpResponse], plain: Callable[[], HttpResponse]
) -> HttpResponse:
    """Return the answer or, if anything fails in it, the plain one: the generation is committed, and its caller must
    hear its id.
    """
    try:
        return answer()
    except Exception:
        log.exception("it is not known what became of it", generation=str(accepted.generation.pk))
        return plain()


def headers(accepted: Accepted) -> dict[str, str]:
    """Return the RateLimit headers, the header that marks a replay, and those about the end of the model."""
    replayed = {"Idempotent-Replayed": "true"} if accepted.is_replay else {}
    model = video_models.get(accepted.generation.model)
    ending = retirement_headers.headers(model) if model else {}
    return ratelimit_headers.render(accepted.limit_usage, clock.now()) | replayed | ending
