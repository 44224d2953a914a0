"""The panel's pages of users and roles; the tables of libraries are hidden."""

from importlib import import_module
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

# A queue's payload is a pickle, which the page would unpickle. The others hold secrets, or what the log has.
HIDDEN_APPS = ("django_q", "axes", "otp_totp")

for label in HIDDEN_APPS:
    import_module(f"{apps.get_app_config(label).name}.admin")  # which registers the models
    for model in apps.get_app_config(label).get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)
admin.site.unregister([User, Group])


@admin.register(User)
class StaffUserAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """List and change users: an owner assigns roles, and only a superuser changes a superuser."""

    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    list_display = ("username", "roles", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "groups")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Return the users with their roles."""
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="Roles")
    def roles(self, user: User) -> str:
        """Return the names of the user's roles."""
        return ", ".join(group.name for group in user.groups.all()) or "-"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False for a superuser's row and password, unless the user is a superuser too."""
        is_above = obj is not None and obj.is_superuser and not _is_superuser(request)
        return super().has_change_permission(request, obj) and not is_above

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: a user is made inactive instead, because audit entries name the user."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Return the fields that grant more than a role does: only a superuser edits them."""
        return () if _is_superuser(request) else ("is_superuser", "user_permissions")


@admin.register(Group)
class RoleAdmin(GroupAdmin, ModelAdmin):
    """List roles. A migration defines what a role may do, so only a superuser changes a role."""

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user is a superuser with the permission."""
        return super().has_change_permission(request, obj) and _is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return whether the user is a superuser with the permission."""
        return super().has_add_permission(request) and _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user is a superuser with the permission."""
        return super().has_delete_permission(request, obj) and _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
