"""The panel's sidebar: each role sees links to the lists that the role may view."""

from typing import Any, NamedTuple

from django.apps import apps
from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse


class Link(NamedTuple):
    """A link to a model's list, with an optional filter."""

    title: str
    icon: str  # a name of Material Symbols
    model: str  # app_label.model_name
    query: dict[str, str] = {}

    def render(self, request: HttpRequest) -> dict[str, Any] | None:
        """Return the link in unfold's format, or None if the user may not view the list."""
        app, model = self.model.split(".")
        pages = admin.site._registry[apps.get_model(app, model)]
        if not pages.has_view_or_change_permission(request):
            return None
        address = reverse(f"admin:{app}_{model}_changelist")
        link = reverse(f"admin:{app}_{model}_changelist", query=self.query)
        is_active = request.path.startswith(address) and self.query.items() <= request.GET.dict().items()
        return {"title": self.title, "icon": self.icon, "link": link, "active": is_active}


GROUPS: dict[str, tuple[Link, ...]] = {
    "Generations": (
        Link("Generations", "movie", "generations.generation"),
        Link("In doubt", "help", "generations.generation", {"status__exact": "in_doubt", "mode": "all"}),
        Link("Seed log", "casino", "generations.seedrecord"),
    ),
    "Webhooks": (
        Link("Endpoints", "webhook", "generations.webhookendpoint"),
        Link("Deliveries", "outbox", "generations.delivery"),
    ),
    "Tenants": (
        Link("Tenants", "apartment", "tenants.tenant"),
        Link("API keys", "key", "tenants.apikey"),
        Link("Ledger", "receipt_long", "tenants.ledgerentry"),
        Link("Audit log", "history", "tenants.auditentry"),
    ),
    "System": (
        Link("Models", "model_training", "generations.modelstate"),
        Link("Workers", "dns", "generations.worker"),
        Link("Upstream status", "cloud", "generations.pause"),
        Link("Paused submits", "pause_circle", "generations.manualpause"),
    ),
    "Staff": (
        Link("Users", "person", "auth.user"),
        Link("Roles", "groups", "auth.group"),
    ),
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sidebar's groups of links; unfold calls this function by its setting SIDEBAR["navigation"]."""
    dashboard = {"title": "Dashboard", "icon": "dashboard", "link": reverse("admin:index")}
    groups = [
        {"title": title, "items": list(filter(None, (link.render(request) for link in links)))}
        for title, links in GROUPS.items()
    ]
    return [{"items": [dashboard]}, *(group for group in groups if group["items"])]
