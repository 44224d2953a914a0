"""The audit log has what was done to users, roles and second factors, by whom, and why."""

import html
import re
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from django.urls import reverse
from django_otp.plugins.otp_totp.models import TOTPDevice

from tenants.models import AuditEntry
from tests.http_client import Client
from tests.service.panel.test_second_factor import PAGE, code_of
from tests.support.panel import log_in

pytestmark = pytest.mark.one_database
PASSWORD = "a-long-enough-passphrase"


@pytest.fixture
def root(db: None) -> Client:
    """Return an HTTP client in which the superuser root is logged in."""
    return log_in(User.objects.create_superuser("root", password=PASSWORD))


@pytest.fixture
def olga(db: None) -> User:
    return User.objects.create_user("olga", password=PASSWORD, is_staff=True)


def entries(actor: str = "root") -> list[tuple[str, str, Any]]:
    """Return action, target and changes of what the actor did, oldest first."""
    rows = AuditEntry.objects.filter(actor=actor).order_by("pk")
    assert all(row.tenant is None for row in rows)
    return [(row.action, row.target, row.changes) for row in rows]


def user_form(user: User, **values: Any) -> dict[str, Any]:
    """Return the form of a user as it is stored, with other values where they are given."""
    form = {"username": user.username, "first_name": "", "last_name": "", "email": ""}
    switches = {name: "on" for name in ("is_active", "is_staff", "is_superuser") if getattr(user, name)}
    return {**form, **switches, **values}


def test_roles_and_flags_that_are_given_and_taken_are_recorded(root: Client, olga: User) -> None:
    page = reverse("admin:auth_user_change", args=[olga.pk])
    support, billing = Group.objects.get(name="support"), Group.objects.get(name="billing")
    form = user_form(olga, is_superuser="on", groups=[support.pk], reason="on call")
    assert root.post(page, form).status_code == 302
    assert entries() == [
        ("change user", "olga", {"is_superuser": [False, True]}),
        ("grant roles", "olga", {"roles": ["support"]}),
    ]
    assert {row.reason for row in AuditEntry.objects.filter(actor="root")} == {"on call"}
    olga.refresh_from_db()
    root.post(page, user_form(olga, groups=[billing.pk]))
    assert entries()[2:] == [
        ("revoke roles", "olga", {"roles": ["support"]}),
        ("grant roles", "olga", {"roles": ["billing"]}),
    ]
    assert not LogEntry.objects.exists()


def test_a_new_user_and_a_password_are_recorded_without_the_password(root: Client, olga: User) -> None:
    both = {"password1": "another-long-passphrase", "password2": "another-long-passphrase", "usable_password": "true"}
    root.post(reverse("admin:auth_user_add"), {"username": "otto", **both})
    root.post(reverse("admin:auth_user_password_change", args=[olga.pk]), both)
    (created, name, values), changed = entries()
    assert (created, name, values["is_superuser"]) == ("create user", "otto", False)
    assert changed == ("change user", "olga", {"password": ["hidden", "hidden"]})
    http = log_in(User.objects.get(username="olga"))
    own = {"old_password": both["password1"], "new_password1": PASSWORD, "new_password2": PASSWORD}
    assert http.post(reverse("admin:password_change"), own).status_code == 302
    assert entries("olga") == [changed]
    assert "passphrase" not in str(entries())


def test_a_role_that_is_created_changed_or_deleted_is_recorded(root: Client, olga: User) -> None:
    permission = Permission.objects.get(codename="view_tenant")
    root.post(reverse("admin:auth_group_add"), {"name": "auditors", "permissions": [permission.pk]})
    role = Group.objects.get(name="auditors")
    root.post(reverse("admin:auth_group_change", args=[role.pk]), {"name": "readers", "reason": "a better name"})
    role.refresh_from_db()
    assert entries() == [
        ("create role", "auditors", {"name": "auditors"}),
        ("grant permissions", "auditors", {"permissions": ["tenants.view_tenant"]}),
        ("change role", "readers", {"name": ["auditors", "readers"]}),
        ("revoke permissions", "readers", {"permissions": ["tenants.view_tenant"]}),
    ]
    olga.groups.add(role)
    root.post(reverse("admin:auth_group_delete", args=[role.pk]), {"post": "yes"})
    assert entries()[4:] == [("delete role", "readers", {"users": ["olga"]})]


def test_commands_and_shells_are_recorded_as_the_shells_user(db: None, monkeypatch: Any) -> None:
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", PASSWORD)
    call_command("createsuperuser", "--noinput", username="otto", email="", verbosity=0)
    otto, support = User.objects.get(), Group.objects.get(name="support")
    support.user_set.add(otto)
    support.user_set.clear()
    otto.user_permissions.add(Permission.objects.get(codename="view_tenant"))
    otto.user_permissions.clear()
    otto.is_active = False
    otto.save()
    otto.delete()
    rows = AuditEntry.objects.order_by("pk")
    assert all(row.actor.startswith("shell:") for row in rows)
    assert [(row.action, row.target) for row in rows] == [
        ("create user", "otto"),
        ("grant roles", "otto"),
        ("revoke roles", "otto"),
        ("grant permissions", "otto"),
        ("revoke permissions", "otto"),
        ("change user", "otto"),
        ("delete user", "otto"),
    ]


def test_a_login_changes_nothing(olga: User, settings: Any) -> None:
    before = AuditEntry.objects.count()
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher", *settings.PASSWORD_HASHERS]
    response = Client().post("/admin/login/", {"username": "olga", "password": PASSWORD, "next": "/admin/"})
    assert response.status_code == 302
    assert User.objects.get().password.startswith("pbkdf2")  # a stronger hash of the same password
    assert AuditEntry.objects.count() == before


def test_a_second_factor_that_is_set_up_or_reset_is_recorded(olga: User, settings: Any) -> None:
    settings.STAFF_TOTP = True
    http = log_in(olga)
    http.get(PAGE)
    http.post(PAGE, {"code": code_of(olga)})
    assert entries("olga") == [("set up second factor", "olga", {})]
    call_command("second_factor", "reset", "olga", "--reason", "a lost phone")
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.target, entry.reason) == ("reset second factor", "olga", "a lost phone")
    assert not TOTPDevice.objects.exists()


def test_the_history_of_a_user_is_the_audit_log(root: Client, olga: User) -> None:
    page = root.get(reverse("admin:auth_user_history", args=[olga.pk]), follow=True)
    assert [row.action for row in page.context["cl"].result_list] == ["create user"]


def test_a_users_form_overwrites_nothing(root: Client, olga: User) -> None:
    page = reverse("admin:auth_user_change", args=[olga.pk])
    opened = root.open_form(page)
    olga.groups.add(Group.objects.get(name="billing"))
    form = user_form(olga, email="olga@example.com")
    response = root.post(page, {**form, **opened})
    assert response.status_code == 200
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())
    assert "Groups: yours is empty, stored is billing." in text
    olga = User.objects.get(username="olga")
    assert (olga.email, [str(role) for role in olga.groups.all()]) == ("", ["billing"])
    User.objects.filter(pk=olga.pk).update(is_active=False)
    opened = root.open_form(page)
    User.objects.filter(pk=olga.pk).update(is_active=True)
    del form["is_active"]
    text = root.post(page, {**form, **opened}).content.decode()
    assert "Active: yours is False, stored is True." in text
    assert re.search(r'name="is_active"[^>]* checked', text)  # what was not touched shows what is stored


def test_a_password_form_overwrites_no_newer_password(root: Client, olga: User) -> None:
    page = reverse("admin:auth_user_password_change", args=[olga.pk])
    both = {"password1": "another-long-passphrase", "password2": "another-long-passphrase", "usable_password": "true"}
    form = {**both, **root.open_form(page)}
    assert root.post(page, form).status_code == 302
    olga.refresh_from_db()
    olga.set_password("a-third-long-passphrase")
    olga.save()
    assert "Another password was set" in root.post(page, form).content.decode()
    assert User.objects.get(username="olga").check_password("a-third-long-passphrase")


@pytest.mark.parametrize("name", ["user", "group"])
def test_a_form_without_the_values_that_it_was_opened_with_is_refused(root: Client, olga: User, name: str) -> None:
    row: Any = olga if name == "user" else Group.objects.get(name="support")
    form = {**(user_form(olga) if name == "user" else {"name": "helpers"}), "loaded": ""}
    response = root.post(reverse(f"admin:auth_{name}_change", args=[row.pk]), form)
    assert "The form is incomplete" in response.content.decode()
