"""An owner resets the second factor of a user who has lost it, and sees how each user signs in."""

import re
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.urls import reverse
from django_otp.plugins.otp_static.models import StaticDevice
from django_otp.plugins.otp_totp.models import TOTPDevice

from seedance_service.models import StaffIdentity
from tenants.models import AuditEntry
from tests.http_client import Client
from tests.service.panel.test_recovery_codes import set_up
from tests.support.panel import log_in

pytestmark = pytest.mark.one_database


@pytest.fixture
def vera(db: None) -> User:
    return User.objects.create_user("vera", password="a-long-enough-password", is_staff=True)


def owner() -> Client:
    """Return the client of an owner, who is not a superuser."""
    user = User.objects.create_user("owner", is_staff=True)
    user.groups.add(Group.objects.get(name="owner"))
    return log_in(user)


def page_of(user: User) -> str:
    return reverse("admin:auth_user_change", args=[user.pk])


def reset_page(user: User) -> str:
    return reverse("admin:auth_user_reset_second_factor", args=[user.pk])


def set_up_for(user: User, settings: Any) -> Client:
    """Set up the user's second factor, and return the user's client."""
    settings.STAFF_TOTP = True
    http, _ = set_up(user)
    settings.STAFF_TOTP = False
    assert http.get("/admin/").status_code == 200
    return http


def test_a_reset_deletes_the_factor_ends_the_sessions_and_is_audited(vera: User, settings: Any) -> None:
    session, http = set_up_for(vera, settings), owner()
    page = http.get(page_of(vera)).content.decode()
    assert "Set up; 10 recovery codes left" in page
    assert reset_page(vera) in page
    assert http.post(reset_page(vera), {"reason": ""}).status_code == 200
    assert TOTPDevice.objects.exists()
    answer = http.post(reset_page(vera), {"reason": "the phone was stolen"})
    assert (answer.status_code, answer["Location"]) == (302, page_of(vera))
    assert not TOTPDevice.objects.exists()
    assert not StaticDevice.objects.exists()
    assert session.get("/admin/").status_code == 302
    assert http.get("/admin/").status_code == 200
    [entry] = AuditEntry.objects.filter(action="reset second factor")
    assert (entry.actor, entry.target, entry.reason) == ("owner", "vera", "the phone was stolen")
    page = http.get(page_of(vera)).content.decode()
    assert "Not set up" in page
    assert reset_page(vera) not in page
    assert "vera has no second factor" in http.post(reset_page(vera), {"reason": "again"}).content.decode()


def test_only_a_superuser_resets_a_superuser_and_no_user_resets_the_own(db: None, settings: Any) -> None:
    root, http = User.objects.create_superuser("root"), owner()
    set_up_for(root, settings)
    set_up_for(User.objects.get(username="owner"), settings)
    for user in (root, User.objects.get(username="owner")):
        assert http.get(reset_page(user)).status_code == 403
        assert http.post(reset_page(user), {"reason": "x"}).status_code == 403
        assert reset_page(user) not in http.get(page_of(user)).content.decode()
    assert TOTPDevice.objects.count() == 2
    other = log_in(User.objects.create_superuser("other"))
    assert other.post(reset_page(root), {"reason": "lost"}).status_code == 302
    assert not TOTPDevice.objects.filter(user=root).exists()


def test_the_shell_resets_the_same(vera: User, settings: Any) -> None:
    session = set_up_for(vera, settings)
    call_command("second_factor", "reset", "vera", stdout=StringIO())
    assert not StaticDevice.objects.exists()
    assert session.get("/admin/").status_code == 302


@pytest.mark.parametrize(
    ("has_password", "has_identity", "words"),
    [
        (True, False, "a password"),
        (False, True, "the company's login"),
        (True, True, "the company's login and a password"),
        (False, False, "nothing"),
    ],
)
def test_the_page_of_a_user_says_which_login_lets_in(
    vera: User, has_password: bool, has_identity: bool, words: str
) -> None:
    if not has_password:
        vera.set_unusable_password()
        vera.save()
    if has_identity:
        StaffIdentity.objects.create(user=vera, issuer="https://login.example.com", subject="1")
    page = owner().get(page_of(vera)).content.decode().replace("&#x27;", "'")
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert f"Signs in with {words}" in text


def test_a_user_of_the_companys_login_gets_no_password_here(vera: User) -> None:
    StaffIdentity.objects.create(user=vera, issuer="https://login.example.com", subject="1")
    password = "another-long-enough-password"
    form = {"password1": password, "password2": password, "usable_password": "true", "reason": "x"}
    answer = owner().post(reverse("admin:auth_user_password_change", args=[vera.pk]), form)
    assert answer.status_code == 403
    vera.refresh_from_db()
    assert not vera.check_password(password)
