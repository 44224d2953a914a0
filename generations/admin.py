"""Ops' view of generations. It reads; nothing is added, edited or deleted here."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from generations.models import Attempt, Event, Generation, Pause


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


class Mode(admin.SimpleListFilter):
    """Live generations unless asked otherwise: a team's CI would bury them."""

    title, parameter_name = "mode", "mode"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("test", "Test"), ("all", "All")]

    def choices(self, changelist: Any) -> Any:
        options = [(None, "Live"), *self.lookup_choices]
        for value, label in options:
            query = changelist.get_query_string({self.parameter_name: value} if value else {}, [self.parameter_name])
            yield {"selected": self.value() == value, "query_string": query, "display": label}

    def queryset(self, request: HttpRequest, rows: Any) -> Any:
        return rows if self.value() == "all" else rows.filter(test=self.value() == "test")


@admin.register(Generation)
class GenerationAdmin(ReadOnly, ModelAdmin):
    list_display = ["id", "tenant", "status", "resolution", "aspect_ratio", "duration", "seed", "test", "created_at"]
    list_filter = [Mode, "status", "tenant", "resolution"]
    list_select_related = ["tenant"]
    search_fields = ["=id", "=upstream_id", "=seed"]
    ordering = ["-id"]
    inlines = [EventInline, AttemptInline]


@admin.register(Pause)
class PauseAdmin(ReadOnly, ModelAdmin):
    """An upstream in trouble, in its own words; it goes away by itself when a probe gets through."""

    list_display = ["upstream", "since", "reason", "probes", "probe_at"]
