"""Who may enter the panel: users and roles. The tables of the libraries around it are nobody's business there."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

# A queue's payload is a pickle, which is unpickled where it is shown; the others hold secrets, or what the log has.
HIDDEN = ("django_q", "axes", "otp_totp")

for label in HIDDEN:
    for model in apps.get_app_config(label).get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)
admin.site.unregister([User, Group])


@admin.register(User)
class Users(UserAdmin, ModelAdmin):  # type: ignore[type-arg]  # it takes none as it runs
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    list_display = ("username", "roles", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "groups")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="Roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "-"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A superuser is changed by a superuser alone, his password too."""
        is_above = obj is not None and obj.is_superuser and not _is_superuser(request)
        return super().has_change_permission(request, obj) and not is_above

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """He is made inactive: what he did names him."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Roles are given, and nothing that is more than a role."""
        return () if _is_superuser(request) else ("is_superuser", "user_permissions")


@admin.register(Group)
class Roles(GroupAdmin, ModelAdmin):
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What a role may do is the code's; who has it, its owners'."""
        return super().has_change_permission(request, obj) and _is_superuser(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and _is_superuser(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and _is_superuser(request)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(getattr(request.user, "is_superuser", False))
