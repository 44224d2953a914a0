"""The links of the menu under a user's name."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

from seedance_service.panel import second_factor


def links(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the links that make sense for the user; unfold calls this by its setting ACCOUNT["navigation"]."""
    if not request.user.is_authenticated:
        return []
    found = []
    if settings.STAFF_PASSWORDS and request.user.has_usable_password():
        found.append({"title": "Change password", "link": reverse("admin:password_change")})
    if second_factor.is_required(request):
        found.append({"title": "Recovery codes", "link": reverse("recovery_codes")})
    return found
