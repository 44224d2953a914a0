"""The page of the panel that a sign-in goes on to, which the request's `next` names."""

from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

PANEL_PATH = "/admin/"


def next_path(request: HttpRequest, requested: str | None = None) -> str:
    """Return the requested path if it is the panel's, else the panel's first page. By default the request names it."""
    if requested is None:
        requested = request.POST.get("next") or request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(requested, {request.get_host()}, request.is_secure())
    return requested if is_ours and requested.startswith(PANEL_PATH) else PANEL_PATH
