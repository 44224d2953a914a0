"""The panel's pages of the system: worker hosts, and the pauses of an upstream."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin

from generations.admin import account_entries
from generations.models import Pause, Worker
from generations.upstream import circuit_breaker, poll_pauses
from tenants.admin.mixins import ReadOnlyMixin


@admin.register(Pause)
class PauseAdmin(ReadOnlyMixin, ModelAdmin):
    """List the upstreams that are paused, each with the upstream's own message.

    A pause disappears as soon as a probe succeeds, or nothing waits for one; an empty list means that submits go out.
    """

    list_display = ["upstream", "since", "reason", "probes", "probe_at"]
    list_before_template = "generations/upstream_status.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pause]:
        """Return the pauses that hold work back."""
        return super().get_queryset(request).filter(pk__in=circuit_breaker.find_holding())

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show the list, and above it every account, and which upstreams refuse polls."""
        context = {
            **(extra_context or {}),
            "accounts": account_entries.entries(),
            "poll_pauses": poll_pauses.find_active(),
        }
        return super().changelist_view(request, context)


@admin.register(Worker)
class WorkerAdmin(ReadOnlyMixin, ModelAdmin):
    """List the worker hosts with their heartbeats and the restarts by their supervisors."""

    list_display = ["host", "started_at", "heartbeat_at", "restarts", "restarted_at", "restart_reason"]
    ordering: Any = ["host"]
