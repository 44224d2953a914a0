"""The page where a user makes new recovery codes, and where they are shown once."""

from typing import Any

import structlog
from django.contrib import admin, messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache

from seedance_service.panel import recovery_codes, second_factor
from seedance_service.panel.code_form import CodeForm
from seedance_service.panel.next_path import next_path
from tenants import audit
from tenants.admin import one_time_secrets
from tenants.audit import Actor

log = structlog.stdlib.get_logger(__name__)


@never_cache
def view(request: HttpRequest) -> HttpResponse:
    """Show codes that were just made, or the form that makes new ones. A code of the user's confirms the form."""
    user: Any = request.user
    if not (second_factor.is_required(request) and user.is_staff):
        return HttpResponseRedirect(reverse("admin:index"))
    if key := request.GET.get(one_time_secrets.PARAMETER):
        return _show(request, key)
    form = CodeForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        with transaction.atomic():
            if second_factor.accept_code(user, form):
                name = user.get_username()
                audit.record(Actor(name=name), "replace recovery codes", None, name, {})
                log.warning("recovery codes were replaced", user=name)
                return second_factor.show_new_codes(request, user, next_path(request))
    context = {"title": "Recovery codes", "form": form, "left": recovery_codes.count_left(user)}
    return TemplateResponse(request, "panel/recovery_codes.html", {**admin.site.each_context(request), **context})


def _show(request: HttpRequest, key: str) -> HttpResponse:
    secret = one_time_secrets.take(request, key)
    if secret is None:
        messages.warning(request, "The codes were shown once, and are shown no more.")
        return HttpResponseRedirect(reverse("recovery_codes"))
    context = {"title": secret.title, "secret": secret, "back_url": next_path(request)}
    return TemplateResponse(request, "tenants/one_time_secret.html", {**admin.site.each_context(request), **context})
