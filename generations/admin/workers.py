"""Ops' view of who works: the worker hosts, and the pauses of an upstream."""

from typing import Any

from django.contrib import admin
from unfold.admin import ModelAdmin

from generations.models import Pause, Worker
from tenants.admin.mixins import ReadOnly


@admin.register(Pause)
class PauseAdmin(ReadOnly, ModelAdmin):
    """An upstream in trouble, in its own words; it goes away by itself when a probe gets through."""

    list_display = ["upstream", "since", "reason", "probes", "probe_at"]


@admin.register(Worker)
class WorkerAdmin(ReadOnly, ModelAdmin):
    """The worker hosts: whether work is done there, and what their supervisors had to do."""

    list_display = ["host", "started_at", "heartbeat_at", "restarts", "restarted_at", "restart_reason"]
    ordering: Any = ["host"]
