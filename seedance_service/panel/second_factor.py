"""The panel's second factor, required by the setting STAFF_TOTP: a code of an authenticator app, or a recovery code.

A user who signs in with a password sets the second factor up at the first login. No other page of the panel opens
before a code is entered. django-otp stores the secrets, slows down guesses and accepts each code once.
"""

from typing import Any
from urllib.parse import urlencode

import django_otp
import segno
import structlog
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin
from django.views.decorators.cache import never_cache
from django_otp.plugins.otp_totp.models import TOTPDevice

from seedance_service.panel import recovery_codes, sessions
from seedance_service.panel.code_form import CodeForm
from seedance_service.panel.next_path import PANEL_PATH, next_path
from tenants import audit
from tenants.admin import one_time_secrets
from tenants.admin.one_time_secrets import OneTimeSecret
from tenants.audit import Actor

log = structlog.stdlib.get_logger(__name__)

EXEMPT_PAGES = ("second_factor", "admin:login", "admin:logout", "company_login", "company_login_callback")


class SecondFactorMiddleware(MiddlewareMixin):
    """Redirect a logged-in user without a second factor to the page that asks for the code."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Return a redirect if the second factor is required and missing, else None."""
        if request.path.startswith(PANEL_PATH) and is_required(request) and _is_missing(request):
            query = urlencode({"next": request.get_full_path()})
            return HttpResponseRedirect(f"{reverse('second_factor')}?{query}")
        return None


def is_required(request: HttpRequest) -> bool:
    """Return whether the request's session needs a second factor: the company's login has its own."""
    return bool(settings.STAFF_TOTP and request.user.is_authenticated and not sessions.is_by_company_login(request))


def _is_missing(request: HttpRequest) -> bool:
    user: Any = request.user  # OTPMiddleware has added is_verified
    return not user.is_verified() and request.path not in {reverse(name) for name in EXEMPT_PAGES}


@never_cache
def view(request: HttpRequest) -> HttpResponse:
    """Serve the page that asks for the code, with a QR code as long as no authenticator is set up."""
    user: Any = request.user
    if not (user.is_authenticated and user.is_staff):
        return HttpResponseRedirect(reverse("admin:login"))
    if user.is_verified() or sessions.is_by_company_login(request):
        return HttpResponseRedirect(next_path(request))
    device = _get_or_create_device(user)
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        with transaction.atomic():
            if used := accept_code(user, form):
                return _enter(request, used)
    return TemplateResponse(request, "panel/second_factor.html", {**_page_context(request, device), "form": form})


def _get_or_create_device(user: Any) -> TOTPDevice:
    """Return the user's confirmed device, else an unconfirmed one, which is created if there is none."""
    devices = TOTPDevice.objects.filter(user=user).order_by("-confirmed", "pk")
    if existing := devices.first():
        return existing
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # of two requests, one creates the device
        return devices.first() or TOTPDevice.objects.create(user=user, name="panel", confirmed=False)


def accept_code(user: Any, form: CodeForm) -> Any:
    """Use the code up, or count a wrong code. Return its device, or None, with an error on the form, if it is refused.

    The device is locked until the transaction ends: of two requests with one code, one uses it up.
    """
    code = form.cleaned_data["code"]
    held = _get_or_create_device(user) if code.isdigit() else recovery_codes.find_device(user)
    if held is None:
        form.add_error("code", "There are no recovery codes of yours.")
        return None
    device = type(held)._default_manager.select_for_update().get(pk=held.pk)
    allowed, details = device.verify_is_allowed()
    if not allowed:
        form.add_error("code", f"Too many wrong codes. Try again after {details['locked_until']:%H:%M:%S} UTC.")
    elif not device.verify_token(code if code.isdigit() else recovery_codes.hash_of(device, code)):
        log.warning("a wrong second factor", user=user.get_username())
        form.add_error("code", "The code is not right, or was used before. Wait for the next code.")
    else:
        return device
    return None


def _enter(request: HttpRequest, device: Any) -> HttpResponse:
    """Mark the session as verified and redirect to the requested page. A new authenticator is confirmed first."""
    user: Any = request.user
    django_otp.login(request, device)
    if not device.confirmed:
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        name = user.get_username()
        audit.record(Actor(name=name), "set up second factor", None, name, {})
        log.warning("a second factor was set up", user=name)
        return show_new_codes(request, user, next_path(request))
    left = recovery_codes.count_left(user)
    if not isinstance(device, TOTPDevice):
        log.warning("a recovery code was used", user=user.get_username(), left=left)
    if left <= recovery_codes.FEW:
        messages.warning(request, f"You have {left} recovery codes left. Make new ones: Recovery codes, in your menu.")
    return HttpResponseRedirect(next_path(request))


def show_new_codes(request: HttpRequest, user: Any, next_url: str) -> HttpResponse:
    """Replace the user's recovery codes, and redirect to the page that shows them once."""
    codes = recovery_codes.replace(user)
    secret = OneTimeSecret(
        "Recovery codes",
        "\n".join(codes),
        "Each code lets you in once if you lose your authenticator. They are shown only once: store them where your "
        "passwords are.",
        "Earlier recovery codes are not valid any more.",
    )
    query = {one_time_secrets.PARAMETER: one_time_secrets.store(request, secret), "next": next_url}
    return HttpResponseRedirect(f"{reverse('recovery_codes')}?{urlencode(query)}")


def _page_context(request: HttpRequest, device: TOTPDevice) -> dict[str, Any]:
    """Return the variables of the page's template; the secret is among them only until the device is confirmed."""
    context = {**admin.site.each_context(request), "title": "Second factor", "next": next_path(request)}
    if device.confirmed:
        return context
    config_url = device.config_url
    secret = config_url.partition("secret=")[2].partition("&")[0]
    qr_code = segno.make(config_url, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff")
    return {**context, "secret": secret, "qr_code": qr_code}
