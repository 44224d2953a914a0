"""The panel's second factor, where STAFF_TOTP asks for it: a code of an authenticator, set up at the first login.

Until it is given no other page of the panel opens. django-otp keeps the secrets, slows guesses down and takes no code
twice.
"""

from typing import Any
from urllib.parse import urlencode

import django_otp
import segno
import structlog
from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.deprecation import MiddlewareMixin
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django_otp.plugins.otp_totp.models import TOTPDevice
from unfold import widgets

log = structlog.stdlib.get_logger(__name__)

PANEL = "/admin/"


class CodeForm(forms.Form):
    code = forms.RegexField(
        r"^\s*[0-9]{3}\s?[0-9]{3}\s*$",
        label="Code of six digits",
        error_messages={"invalid": "A code has six digits."},
        widget=widgets.UnfoldAdminTextInputWidget(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}
        ),
    )


class SecondFactor(MiddlewareMixin):
    """Sends who has not given it to its page."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        if settings.STAFF_TOTP and request.path.startswith(PANEL) and _is_missing(request):
            query = urlencode({"next": request.get_full_path()})
            return HttpResponseRedirect(f"{reverse('second_factor')}?{query}")
        return None


def _is_missing(request: HttpRequest) -> bool:
    open_to_all = {reverse("second_factor"), reverse("admin:login"), reverse("admin:logout")}
    user: Any = request.user  # as OTPMiddleware has made it
    return user.is_authenticated and not user.is_verified() and request.path not in open_to_all


@never_cache
def view(request: HttpRequest) -> HttpResponse:
    user: Any = request.user
    if not (user.is_authenticated and user.is_staff):
        return HttpResponseRedirect(reverse("admin:login"))
    if user.is_verified():
        return HttpResponseRedirect(_next(request))
    device = _device(user)
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid() and _accept_code(device, form):
        return _entered(request, device)
    return TemplateResponse(request, "panel/second_factor.html", {**_shown(request, device), "form": form})


def _device(user: Any) -> TOTPDevice:
    """The one that was set up; else one that is now."""
    found = TOTPDevice.objects.filter(user=user).order_by("-confirmed", "pk").first()
    return found or TOTPDevice.objects.create(user=user, name="panel", confirmed=False)


def _accept_code(device: TOTPDevice, form: CodeForm) -> bool:
    """Use the code up, and count a wrong one. Return False, with an error on the form, where it is not taken."""
    allowed, why = device.verify_is_allowed()
    if not allowed:
        form.add_error("code", f"Too many wrong codes: the next try is taken at {why['locked_until']:%H:%M:%S} UTC.")
    elif not device.verify_token("".join(form.cleaned_data["code"].split())):
        log.warning("a wrong second factor", user=device.user.get_username())
        form.add_error("code", "That code is not right, or was used before. Wait for the next one.")
    else:
        return True
    return False


def _entered(request: HttpRequest, device: TOTPDevice) -> HttpResponse:
    if not device.confirmed:
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        log.warning("a second factor was set up", user=device.user.get_username())
    django_otp.login(request, device)
    return HttpResponseRedirect(_next(request))


def _shown(request: HttpRequest, device: TOTPDevice) -> dict[str, Any]:
    """With what an authenticator has to know, only while none does."""
    known = {**admin.site.each_context(request), "title": "Second factor", "next": _next(request)}
    if device.confirmed:
        return known
    address = device.config_url
    secret = address.partition("secret=")[2].partition("&")[0]
    drawn = segno.make(address, error="m").svg_inline(scale=5, border=4, dark="#000", light="#fff")
    return {**known, "secret": secret, "drawn": drawn}


def _next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, request.is_secure())
    return wanted if is_ours and wanted.startswith(PANEL) else PANEL
