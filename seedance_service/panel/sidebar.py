"""The panel's sidebar: each role sees links to the lists that the role may view."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse

from tenants.admin.mixins import may_view_list


class Link(NamedTuple):
    """A link to a model's list, with an optional filter, or to another page for those who may view the list."""

    title: str
    icon: str  # a name of Material Symbols
    model: str  # app_label.model_name
    query: dict[str, str] = {}
    page: str = ""  # the name of the address, if it is not the list

    def render(self, request: HttpRequest) -> dict[str, Any] | None:
        """Return the link in unfold's format, or None if the user may not view the list."""
        if not may_view_list(request, self.model):
            return None
        name = self.page or f"admin:{self.model.replace('.', '_')}_changelist"
        address, link = reverse(name), reverse(name, query=self.query)
        is_active = request.path.startswith(address) and self.query.items() <= request.GET.dict().items()
        return {"title": self.title, "icon": self.icon, "link": link, "active": is_active, "address": address}


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
        Link("Billing", "payments", "tenants.ledgerentry", page="admin:tenants_ledgerentry_billing"),
        Link("Ledger", "receipt_long", "tenants.ledgerentry"),
        Link("Limit warnings", "notification_important", "generations.limitwarning"),
        Link("Refused creates", "block", "tenants.refusalcount"),
        Link("Audit log", "history", "tenants.auditentry"),
    ),
    "System": (
        Link("Models", "model_training", "generations.modelstate"),
        Link("Workers", "dns", "generations.worker"),
        Link("Upstream status", "cloud", "generations.pause"),
        Link(
            "Upstream bills",
            "account_balance",
            "generations.upstreambill",
            page="admin:generations_upstreambill_comparison",
        ),
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
    items = {title: list(filter(None, (link.render(request) for link in links))) for title, links in GROUPS.items()}
    _keep_longest_active([item for group in items.values() for item in group])
    return [{"items": [dashboard]}, *({"title": title, "items": group} for title, group in items.items() if group)]


def _keep_longest_active(items: list[dict[str, Any]]) -> None:
    """Let no link be active whose page lies above that of another active one."""
    longest = max((len(item["address"]) for item in items if item["active"]), default=0)
    for item in items:
        item["active"] = item["active"] and len(item["address"]) == longest
