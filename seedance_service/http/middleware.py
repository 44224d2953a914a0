"""Middlewares: RequestContext and BodyLimit for every request, FixedHeaders for the API alone.

FixedHeaders takes the place of Django's own middlewares, which the API's handler does without.
"""

import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.log import log_response

from generations.api.json_codec import stated_length
from generations.api.large_bodies import LargeBodies
from generations.telemetry import tracing
from seedance_service import request_id
from seedance_service.errors import views
from tenants.errors import BodyTooSlow, TooManyBodies

API_PREFIXES, PANEL_PREFIX = ("/v1/", "/v3/"), "/admin/"  # each request below them has a log entry
REFRESH_HEADER = "X-Refresh"  # the dashboard sends it when it refreshes itself: no person asked for the page
MAX_LOGGED_PATH_CHARS = 200
MAX_BODY_BYTES = 1024 * 1024  # where no image is sent

GetResponse = Callable[[HttpRequest], HttpResponse]

log = structlog.stdlib.get_logger(__name__)


class RequestContext:
    """Give each request its id and its log entry, and each call of the API its span of a trace.

    This is the outermost middleware, so that requests which the others refuse have them too.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        with request_id.answering(request_id.from_headers(request.META)):
            is_call = request.path_info.startswith(API_PREFIXES)
            response = self._get_traced_response(request) if is_call else self._get_response(request)
            response.headers[request_id.HEADER] = request_id.current()
            if response.status_code >= 400:  # Django would log it once the id is gone; it logs each response once
                log_response("%s: %s", response.reason_phrase, request.path, response=response, request=request)
            if is_call:
                _log_call(request, response, began)
            elif request.path_info.startswith(PANEL_PREFIX) and REFRESH_HEADER not in request.headers:
                _log_panel_page(request, response, began)
        return response

    def _get_traced_response(self, request: HttpRequest) -> HttpResponse:
        """Continue the caller's trace (W3C Trace Context) while the request is answered, where traces are on."""
        parent = request.META.get("HTTP_TRACEPARENT", "")
        with tracing.start_span("call", parent, method=request.method or "", request_id=request_id.current()) as span:
            response = self._get_response(request)
            # The route and not the path: it holds no id of a caller's, and there are few.
            span.set_attributes(route=getattr(request.resolver_match, "route", ""), status=response.status_code)
        return response


def _log_call(request: HttpRequest, response: HttpResponse, began: float) -> None:
    """Log a call of the API, without its query, which may hold what is the caller's own business."""
    key = getattr(request, "auth", None)  # REST framework puts the key on Django's request too
    who = {"tenant": key.tenant_id, "key": key.prefix} if key else {}
    log.info("request", **_facts(request, response), **who, duration_ms=_milliseconds_since(began))


def _log_panel_page(request: HttpRequest, response: HttpResponse, began: float) -> None:
    """Log which operator looked at which page: prompts and videos are callers'. Actions are in the audit log."""
    user: Any = getattr(request, "user", None)
    if user and user.is_authenticated:
        who = {"user": user.get_username()}
        log.info("panel", **_facts(request, response), **who, duration_ms=_milliseconds_since(began))


def _facts(request: HttpRequest, response: HttpResponse) -> dict[str, Any]:
    path = request.path[:MAX_LOGGED_PATH_CHARS]
    return {"action": request.method or "", "path": path, "status": response.status_code}


def _milliseconds_since(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)


class FixedHeaders:
    """Set the headers that the panel has from Django's SecurityMiddleware, CommonMiddleware and
    XFrameOptionsMiddleware: the same on every answer of the API.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._headers = {
            "X-Frame-Options": settings.X_FRAME_OPTIONS,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": settings.SECURE_REFERRER_POLICY,
            "Cross-Origin-Opener-Policy": settings.SECURE_CROSS_ORIGIN_OPENER_POLICY,
        }

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self._get_response(request)
        for name, value in self._headers.items():
            response.headers[name] = value
        if response.status_code != HTTPStatus.NOT_MODIFIED:  # it has no length of its own (RFC 9110, 8.6)
            response.headers.setdefault("Content-Length", str(len(response.content)))  # a HEAD's is that of a file
        return response


class BodyLimit:
    """Refuse a large body where no image is sent, and a slow form of the panel: Django reads a form before it knows who
    sends it.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        if stated_length(request) > MAX_BODY_BYTES and not issubclass(getattr(view, "cls", object), LargeBodies):
            return views.body_too_large(request)
        if request.path_info.startswith(PANEL_PREFIX):
            try:
                request.body  # noqa: B018  # stored by Django for the middlewares and the view
            except (TooManyBodies, BodyTooSlow) as refusal:
                return views.refused(request, refusal)
        return None
