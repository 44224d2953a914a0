"""The panel's pages of users and roles; the tables of libraries are hidden."""

from collections.abc import Collection
from importlib import import_module
from typing import Any

from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from seedance_service.models import StaffIdentity
from seedance_service.panel import recovery_codes, second_factor_reset
from seedance_service.panel.staff_audit import MAX_REASON_CHARS
from tenants.admin import action_page
from tenants.admin.forms import TextLineField
from tenants.admin.guards import HiddenField, Stale, StoredValuesForm
from tenants.admin.mixins import AuditHistoryMixin

# A queue's payload is a pickle, which the page would unpickle. The others hold secrets, or what the log has.
HIDDEN_APPS = ("django_q", "axes", "otp_totp", "otp_static")

for label in HIDDEN_APPS:
    import_module(f"{apps.get_app_config(label).name}.admin")  # which registers the models
    for model in apps.get_app_config(label).get_models():
        if admin.site.is_registered(model):
            admin.site.unregister(model)
admin.site.unregister([User, Group])


class StaffForm(StoredValuesForm):
    """The form of a user or a role, which overwrites nothing that others saved."""

    reason = TextLineField(required=False, max_length=MAX_REASON_CHARS, help_text="Recorded in the audit log.")

    def clean(self) -> Any:
        """Refuse the form of a stored row if others saved other values."""
        cleaned = super().clean()
        if self.instance.pk:  # type: ignore[attr-defined]  # of the ModelForm that this class is mixed into
            self.check_loaded()
        return cleaned


class UserForm(StaffForm, UserChangeForm):
    """Change a user."""


class RoleForm(StaffForm, forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Create or change a role."""


class PasswordForm(AdminPasswordChangeForm):
    """Set a user's password, unless another was set after the form was opened."""

    loaded = HiddenField()

    def __init__(self, user: User, *args: Any, **options: Any) -> None:
        super().__init__(user, *args, **options)
        self.fields["loaded"].initial = salted_hmac("panel.users", user.password).hexdigest()

    def clean_loaded(self) -> str:
        """Refuse the form if another password is stored by now."""
        if self.cleaned_data["loaded"] != self.fields["loaded"].initial:
            self.add_error(None, "Another password was set after you opened this page. Open it again.")
        return ""


class GuardedMixin(AuditHistoryMixin):
    """The pages of users and roles: a form is checked again under the row's lock, and the audit log is the history."""

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> Any:
        """Serve the form. If others save just now, check it against what they saved."""
        try:
            return super().changeform_view(request, *args, **options)  # type: ignore[misc]  # Django's
        except Stale:
            return super().changeform_view(request, *args, **options)  # type: ignore[misc]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Save the row, unless it has changed since the form was checked."""
        if change:
            form.raise_if_stale(type(form)(instance=type(obj)._default_manager.select_for_update().get(pk=obj.pk)))
        super().save_model(request, obj, form, change)  # type: ignore[misc]

    def audit_filter(self, request: HttpRequest, object_id: str) -> dict[str, Any]:
        """Filter the audit log by the name of the user or role, which not every reader of the log may look up."""
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        return {"target__exact": str(self.get_row(request, object_id)), "tenant__isnull": "True"}


@admin.register(User)
class StaffUserAdmin(GuardedMixin, action_page.ActionPagesMixin, UserAdmin, ModelAdmin):  # type: ignore[type-arg]  # not generic at run time
    """List and change users: an owner assigns roles, and only a superuser changes a superuser."""

    form, add_form, change_password_form = UserForm, UserCreationForm, PasswordForm
    change_user_password_template = "panel/change_password.html"  # noqa: S105  # no password
    fieldsets = (
        *(fieldset for fieldset in UserAdmin.fieldsets or () if fieldset[0] != "Important dates"),
        ("Signing in", {"fields": ("login", "second_factor", "last_login", "date_joined")}),
        ("Reason", {"fields": ("reason", "loaded")}),
    )
    list_display = ("username", "roles", "is_active", "is_staff", "is_superuser", "last_login")
    list_filter = ("is_active", "groups")
    actions_detail = ("reset_second_factor",)
    reset_second_factor = action_page.button(second_factor_reset.RESET, "lock_reset")

    def has_action_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return whether the user may change the row, and the row is another user's. unfold passes the row's id."""
        row = None if obj is None else self.get_object(request, str(obj))
        return self.has_change_permission(request, row) and (row is None or row.pk != request.user.pk)

    def serve_action(self, request: HttpRequest, object_id: str, *args: Any, **options: Any) -> HttpResponse:
        """Serve the page of an action. The decorator of an action page has asked about no row."""
        if not self.has_action_permission(request, object_id):
            raise PermissionDenied
        return super().serve_action(request, object_id, *args, **options)

    def unavailable_actions(self, row: Any) -> Collection[str]:
        """Return the reset for a user without a second factor."""
        return () if second_factor_reset.has_second_factor(row) else ("reset_second_factor",)

    @admin.display(description="Signs in with")
    def login(self, user: User) -> str:
        """Return the logins that let the user in."""
        logins = ["the company's login"] if user.identities.exists() else []
        logins += ["a password"] if user.has_usable_password() else []
        return " and ".join(logins) or "nothing"

    @admin.display(description="Second factor")
    def second_factor(self, user: User) -> str:
        """Return whether an authenticator is set up, and how many recovery codes are left."""
        if not second_factor_reset.has_second_factor(user):
            return "Not set up. Once it is, an owner can reset it here."
        return f"Set up; {recovery_codes.count_left(user)} recovery codes left"

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
        shown = ("login", "second_factor", "last_login", "date_joined")
        return shown if _is_superuser(request) else (*shown, "is_superuser", "user_permissions")

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> Any:
        """Serve the form of a password. The user is locked, so that of two forms sent at once one is refused."""
        pk = int(id) if id.isdecimal() and len(id) < 10 else 0
        if StaffIdentity.objects.filter(user_id=pk).exists():
            raise PermissionDenied("A user of the company's login has no password here.")
        with transaction.atomic():
            User.objects.select_for_update().filter(pk=pk).first()
            return super().user_change_password(request, id, form_url)


@admin.register(Group)
class RoleAdmin(GuardedMixin, GroupAdmin, ModelAdmin):
    """List roles. A migration defines what a role may do, so only a superuser changes a role."""

    form = RoleForm
    fields = ("name", "permissions", "reason", "loaded")

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
