"""The security headers of the panel's pages: markup in a caller's text could load nothing from elsewhere."""

import structlog
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

from generations.bucket import signed_urls
from generations.bucket.errors import StorageError

log = structlog.stdlib.get_logger(__name__)

PANEL_PATH = "/admin"
POLICY = {
    "default-src": "'none'",
    # Inline scripts are forbidden. 'unsafe-eval' is the price of unfold's Alpine, which evaluates attributes of its
    # templates. Injected markup could act by such attributes, but could not load or send anything elsewhere.
    "script-src": "'self' 'unsafe-eval'",
    "style-src": "'self' 'unsafe-inline'",  # unfold's colours, and the widths that unfold's scripts set
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


class PanelHeadersMiddleware(MiddlewareMixin):
    """Set the security headers on every response under /admin."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Add the headers if the path is the panel's."""
        if request.path.startswith(PANEL_PATH):
            for name, value in {**HEADERS, "Content-Security-Policy": _policy()}.items():
                response.headers[name] = value
        return response


def _policy() -> str:
    """Return the Content-Security-Policy, which allows images and videos from the bucket."""
    try:
        bucket = signed_urls.public_origin()
    except StorageError:  # for example, no credentials yet: the pages open without images and videos
        log.exception("where the bucket is can not be found out for the panel")
        bucket = ""
    return "; ".join(f"{name} {value.format(bucket=bucket)}".strip() for name, value in POLICY.items())
