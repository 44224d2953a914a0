"""Ops' view of generations. It reads; nothing is added, edited or deleted here."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from generations.models import Attempt, Event, Generation


class ReadOnly:
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class EventInline(ReadOnly, TabularInline):
    model = Event
    fields = ["at", "status", "message"]


class AttemptInline(ReadOnly, TabularInline):
    model = Attempt
    fields = ["number", "started_at", "finished_at", "outcome", "detail"]


@admin.register(Generation)
class GenerationAdmin(ReadOnly, ModelAdmin):
    list_display = ["id", "tenant", "status", "resolution", "aspect_ratio", "duration", "seed", "created_at"]
    list_filter = ["status", "tenant", "resolution"]
    list_select_related = ["tenant"]
    search_fields = ["=id", "=upstream_id", "=seed"]
    ordering = ["-id"]
    inlines = [EventInline, AttemptInline]
