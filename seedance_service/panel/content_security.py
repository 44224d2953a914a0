"""What the panel's pages may load, should a caller's text ever become markup in them: nothing but what is ours."""

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from generations.bucket import signed_urls
from generations.bucket.errors import StorageError

log = structlog.stdlib.get_logger(__name__)

PANEL = "/admin"
POLICY = {
    "default-src": "'none'",
    # No inline script. 'unsafe-eval' is the price of unfold's Alpine, which evaluates the attributes of its templates:
    # markup that got in could act by such attributes, and still load nothing from elsewhere nor send anything there.
    "script-src": "'self' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",  # unfold's colours, and the widths that its scripts set
    "img-src": "'self' data: {bucket}",
    "media-src": "'self' {bucket}",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
HEADERS = {
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Frame-Options": "DENY",
}


class PanelHeaders(MiddlewareMixin):
    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.path.startswith(PANEL):
            for name, value in {**HEADERS, "Content-Security-Policy": _policy()}.items():
                response.headers[name] = value
        return response


def _policy() -> str:
    try:
        bucket = signed_urls.public_origin()
    except StorageError:  # no credentials yet, for example: its pages are shown, without pictures and videos
        log.exception("where the bucket is can not be found out for the panel")
        bucket = ""
    return "; ".join(f"{name} {value.format(bucket=bucket)}".strip() for name, value in POLICY.items())
