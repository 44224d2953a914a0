"""What both entrances do with a create: its body becomes what is wanted, and that a generation, once."""

import threading
from typing import Any

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from generations.api.request_bodies import Create
from generations.intake import create, idempotency
from generations.intake.create import Accepted
from generations.intake.generation_request import GenerationRequest
from generations.intake.idempotency import IdempotencyKey
from tenants.api.base import key_of
from tenants.limits import ratelimit_headers

MAX_IDEMPOTENCY_KEY_CHARS = 255
IDEMPOTENCY_KEY_PARAMETER = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": MAX_IDEMPOTENCY_KEY_CHARS, "pattern": "^[ -~]*$"},
    OpenApiParameter.HEADER,
    description=(
        f"1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters of the caller's choice. The same key with "
        "the same request makes no other generation and takes nothing of any limit: the first answer comes again, with "
        "`Idempotent-Replayed: true`."
    ),
)

_forms = threading.local()


def checked(kind: type[Create], body: Any, **context: Any) -> GenerationRequest:
    """What the body asks for. Raises ValidationError. The body itself is let go: the framework's objects hold each
    other, and would hold its pictures until the garbage collector comes."""
    form = _blank(kind)
    form.initial_data, form._context = body, context
    try:
        form.is_valid(raise_exception=True)
        return form.wanted()
    finally:
        if body:  # without a body it may be a form's, which lets nothing be cleared
            body.clear()
        form.validated_data.clear()
        form.initial_data, form._context = None, {}


def _blank(kind: type[Create]) -> Create:
    """This thread's own, as if it were new: making its fields anew takes longer than checking a body by them."""
    form: Create | None = _forms.__dict__.get(kind.__name__)
    if form is None:
        form = _forms.__dict__[kind.__name__] = kind(data=None)
    for made in ("_validated_data", "_errors", "_data"):
        form.__dict__.pop(made, None)
    return form


def accept(request: Request, wanted: GenerationRequest) -> Accepted:
    """Create the generation, once for all requests with the same Idempotency-Key."""
    return create.create_generation(key_of(request), wanted, idempotency_key(request, wanted))


def idempotency_key(request: Request, wanted: GenerationRequest) -> IdempotencyKey | None:
    """Return the request's Idempotency-Key with the digest of what is requested; None without the header.

    Raises ValidationError if the header holds no such key.
    """
    key = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if key is None:
        return None
    if not (0 < len(key) <= MAX_IDEMPOTENCY_KEY_CHARS and key.isascii() and key.isprintable()):
        message = f"It has 1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters."
        raise ValidationError({"Idempotency-Key": [message]})
    return IdempotencyKey(key, idempotency.digest(request.path, wanted))


def headers(accepted: Accepted) -> dict[str, str]:
    """Return the RateLimit headers, and the header that marks a replay."""
    replayed = {"Idempotent-Replayed": "true"} if accepted.is_replay else {}
    return ratelimit_headers.render(accepted.limit_usage, timezone.now()) | replayed
