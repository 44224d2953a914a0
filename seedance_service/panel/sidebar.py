"""What the panel's sidebar names: each role finds there what it may see, and nothing else."""

from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse


class Link(NamedTuple):
    title: str
    icon: str  # of Material Symbols
    model: str  # app_label.model_name
    query: dict[str, str] = {}

    def shown(self, request: HttpRequest) -> dict[str, Any] | None:
        """As unfold wants it; None where the user may not see such rows."""
        app, model = self.model.split(".")
        user: Any = request.user
        if not (user.has_perm(f"{app}.view_{model}") or user.has_perm(f"{app}.change_{model}")):
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
    "Work": (
        Link("Workers", "dns", "generations.worker"),
        Link("Upstream pauses", "pause_circle", "generations.pause"),
    ),
    "Staff": (
        Link("Users", "person", "auth.user"),
        Link("Roles", "groups", "auth.group"),
    ),
}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """unfold's SIDEBAR["navigation"]."""
    first = {"title": "Dashboard", "icon": "dashboard", "link": reverse("admin:index")}
    groups = [
        {"title": title, "items": list(filter(None, (link.shown(request) for link in links)))}
        for title, links in GROUPS.items()
    ]
    return [{"items": [first]}, *(group for group in groups if group["items"])]
