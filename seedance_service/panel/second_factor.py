"""The panel's second factor, required by the setting STAFF_TOTP: a code of an authenticator app.

A user sets the second factor up at the first login. No other page of the panel opens before the code is entered.
django-otp stores the secrets, slows down guesses and accepts each code once.
"""

from typing import Any
from urllib.parse import urlencode

import django_otp
import segno
import structlog
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold import widgets

from tenants import audit
from tenants.audit import Actor

log = structlog.stdlib.get_logger(__name__)

PANEL_PATH = "/admin/"


class CodeForm(forms.Form):
    """The form for a code of six digits."""

    code = forms.RegexField(
        r"^\s*[0-9]{3}\s?[0-9]{3}\s*$",
        label="Six-digit code",
        error_messages={"invalid": "A code has six digits."},
        widget=widgets.UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
        ),
    )


class SecondFactorMiddleware(MiddlewareMixin):
    """Redirect a logged-in user without a second factor to the page that asks for the code."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        """Return a redirect if the second factor is required and missing, else None."""
        if settings.STAFF_TOTP and request.path.startswith(PANEL_PATH) and _is_missing(request):
            query = urlencode({"next": request.get_full_path()})
            return HttpResponseRedirect(f"{reverse('second_factor')}?{query}")
        return None


def _is_missing(request: HttpRequest) -> bool:
    exempt_paths = {reverse("second_factor"), reverse("admin:login"), reverse("admin:logout")}
    user: Any = request.user  # OTPMiddleware has added is_verified
    return user.is_authenticated and not user.is_verified() and request.path not in exempt_paths


@never_cache
def view(request: HttpRequest) -> HttpResponse:
    """Serve the page that asks for the code, with a QR code as long as no authenticator is set up."""
    user: Any = request.user
    if not (user.is_authenticated and user.is_staff):
        return HttpResponseRedirect(reverse("admin:login"))
    if user.is_verified():
        return HttpResponseRedirect(_next_path(request))
    device = _get_or_create_device(user)
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        with transaction.atomic():
            device = TOTPDevice.objects.select_for_update().get(pk=device.pk)  # of two requests, one uses the code up
            if _accept_code(device, form):
                return _enter(request, device)
    return TemplateResponse(request, "panel/second_factor.html", {**_page_context(request, device), "form": form})


def _get_or_create_device(user: Any) -> TOTPDevice:
    """Return the user's confirmed device, else an unconfirmed one, which is created if there is none."""
    devices = TOTPDevice.objects.filter(user=user).order_by("-confirmed", "pk")
    if existing := devices.first():
        return existing
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # of two requests, one creates the device
        return devices.first() or TOTPDevice.objects.create(user=user, name="panel", confirmed=False)


def _accept_code(device: TOTPDevice, form: CodeForm) -> bool:
    """Use the code up, or count a wrong code. Return False, with an error on the form, if the code is refused."""
    allowed, details = device.verify_is_allowed()
    if not allowed:
        form.add_error("code", f"Too many wrong codes. Try again after {details['locked_until']:%H:%M:%S} UTC.")
    elif not device.verify_token("".join(form.cleaned_data["code"].split())):
        log.warning("a wrong second factor", user=device.user.get_username())
        form.add_error("code", "The code is not right, or was used before. Wait for the next code.")
    else:
        return True
    return False


def _enter(request: HttpRequest, device: TOTPDevice) -> HttpResponse:
    """Confirm a new device, mark the session as verified and redirect to the requested page."""
    if not device.confirmed:
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        name = device.user.get_username()
        audit.record(Actor(name=name), "set up second factor", None, name, {})
        log.warning("a second factor was set up", user=name)
    django_otp.login(request, device)
    return HttpResponseRedirect(_next_path(request))


def _page_context(request: HttpRequest, device: TOTPDevice) -> dict[str, Any]:
    """Return the variables of the page's template; the secret is among them only until the device is confirmed."""
    context = {**admin.site.each_context(request), "title": "Second factor", "next": _next_path(request)}
    if device.confirmed:
        return context
    config_url = device.config_url
    secret = config_url.partition("secret=")[2].partition("&")[0]
    qr_code = segno.make(config_url, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff")
    return {**context, "secret": secret, "qr_code": qr_code}


def _next_path(request: HttpRequest) -> str:
    """Return the requested path if it is the panel's, else the panel's first page."""
    requested = request.POST.get("next") or request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(requested, {request.get_host()}, request.is_secure())
    return requested if is_ours and requested.startswith(PANEL_PATH) else PANEL_PATH
