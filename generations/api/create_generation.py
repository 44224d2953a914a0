"""What both entrances do with a create: its body becomes what is wanted, and that a generation, once."""

import threading
from typing import Any

from django.utils import timezone
from rest_framework.request import Request

from generations.api import idempotency
from generations.api.request_bodies import Create
from generations.intake import create as intake
from generations.intake.create import Accepted, GenerationRequest
from tenants.api.base import key_of
from tenants.limits import ratelimit_headers

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
    """Create the generation, once for all requests with the same Idempotency-Key, as `intake.accept` does."""
    return intake.accept(key_of(request), wanted, idempotency.once(request.META, request.path, wanted))


def headers(accepted: Accepted) -> dict[str, str]:
    return ratelimit_headers.headers(accepted.standings, timezone.now()) | idempotency.headers(accepted)
