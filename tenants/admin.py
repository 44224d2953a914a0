"""Ops' view of tenants, their keys and their ledger. Keys are made by `manage.py tenant key`."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from tenants.models import ApiKey, LedgerEntry, Tenant


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):
    list_display = ["name", "in_flight", "requests_per_minute", "per_day", "per_month", "suspended_at"]
    search_fields = ["name"]

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ReadOnlyAdmin(ModelAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    list_display = ["prefix", "tenant", "label", "scopes", "last_used_at", "expires_at", "revoked_at"]
    list_select_related = ["tenant"]
    search_fields = ["prefix", "tenant__name"]
    exclude = ["digest"]


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "tenant", "generation_id", "kind", "amount_micro"]
    list_select_related = ["tenant"]
    list_filter = ["kind", "tenant"]
