"""The steps that both APIs share in a create: from a body to a request, and from a request to one generation."""

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
        form.validated_data.clear()
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
    """Create the generation, once for all requests with the same Idempotency-Key, as `intake.accept` does."""
    once = idempotency.once(request.META, request.path, generation_request)
    return intake.accept(key_of(request), generation_request, once)


def headers(accepted: Accepted) -> dict[str, str]:
    """Return the headers about limits and replay of an answer to a create."""
    return ratelimit_headers.headers(accepted.standings, timezone.now()) | idempotency.headers(accepted)
