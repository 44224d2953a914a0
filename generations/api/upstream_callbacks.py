"""POST /v1/upstream-callbacks/{reference}: an upstream reports that the state of a task has changed.

Nothing of it is believed, since callbacks are not signed. It names a task, which the worker then reads at the upstream,
sooner than it would have.
"""

import re

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, ParseError
from rest_framework.request import Request

from generations import lifecycle, wakeups
from generations.api.json_codec import stated_length
from generations.models import Attempt
from generations.upstream import wires
from tenants.api.base import ApiView, respond

REFERENCE = re.compile(r"[0-9a-f]{32}")
MAX_BYTES = 256 * 1024  # a task object has about one thousand


class CallbackTooLarge(APIException):
    """The error of a body above MAX_BYTES."""

    status_code = 413
    default_code = "body_too_large"
    default_detail = f"The body has more than {MAX_BYTES} bytes."


class UnknownReference(APIException):
    """The error of a callback about no attempt."""

    status_code = 404
    default_code = "not_found"
    default_detail = "There is nothing at this address."


class NoKey(BaseAuthentication):
    """The authenticator of a view that asks for no key."""

    def authenticate(self, request: Request) -> tuple[None, None]:
        """Return no tenant and no key."""
        return None, None


class UpstreamCallback(ApiView):
    scopes = {}
    authentication_classes = [NoKey]

    @extend_schema(exclude=True)
    def post(self, request: Request, reference: str) -> HttpResponse:
        """Let the worker read the task that the callback names."""
        if stated_length(request) > MAX_BYTES:
            raise CallbackTooLarge
        attempt = None
        if REFERENCE.fullmatch(reference):
            attempt = Attempt.objects.select_related("generation").filter(reference=reference).first()
        if attempt is None:
            raise UnknownReference
        wire = wires.load().get(attempt.generation.wire_name)
        upstream_id = wire.parse_callback(request._request.read(MAX_BYTES)) if wire else ""
        if not upstream_id:
            raise ParseError("The body names no task.")
        if lifecycle.note_named_task(attempt, upstream_id):
            wakeups.wake_worker()
        return respond(status=204)
