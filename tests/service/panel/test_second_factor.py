"""The second factor: no page of the panel opens without the code if the setting requires one."""

import re
from datetime import timedelta
from io import StringIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_otp.oath import totp
from django_otp.plugins.otp_totp.models import TOTPDevice

from tests.http_client import Client
from tests.support.factories import Caller
from tests.support.panel import log_in

pytestmark = pytest.mark.one_database

PAGE = "/admin/second-factor/"


@pytest.fixture(autouse=True)
def _required(settings: Any) -> None:
    settings.STAFF_TOTP = True


@pytest.fixture
def olga(db: None) -> User:
    return User.objects.create_superuser("olga")


def code_of(user: User) -> str:
    """Return the present code of the user's authenticator."""
    device = TOTPDevice.objects.get(user=user)
    return f"{totp(device.bin_key):06d}"


def set_up(user: User) -> Client:
    """Set up the second factor and return the logged-in client."""
    http = log_in(user)
    http.get(PAGE)
    assert http.post(PAGE, {"code": code_of(user)}).status_code == 302
    return http


def next_of(response: Any) -> str:
    """Return the page that the recovery codes of a new second factor go on to."""
    address = urlsplit(response["Location"])
    assert address.path == "/admin/recovery-codes/"
    return parse_qs(address.query)["next"][0]


def test_no_page_opens_before_the_code_is_entered(olga: User) -> None:
    http = log_in(olga)
    for path in ("/admin/", "/admin/generations/generation/", "/admin/nowhere/"):
        response = http.get(path)
        assert (response.status_code, response["Location"]) == (302, f"{PAGE}?next={path.replace('/', '%2F')}")
    assert http.post("/admin/tenants/tenant/add/", {"name": "x", "reason": "y"}).status_code == 302
    assert http.get("/admin/login/").status_code == 302  # a logged-in user is redirected
    assert http.post("/admin/logout/").status_code == 200


def test_the_first_login_sets_the_factor_up_and_later_ones_ask_for_a_code(olga: User) -> None:
    http = log_in(olga)
    page = http.get(f"{PAGE}?next=/admin/generations/generation/").content.decode()
    [secret] = re.findall(r'<code id="secret"[^>]*>([A-Z2-7]+)', page)
    assert "<svg" in page
    assert "<script>" not in page
    assert TOTPDevice.objects.get(user=olga).confirmed is False
    form = {"code": code_of(olga)[:3] + " " + code_of(olga)[3:], "next": "/admin/generations/generation/"}
    assert next_of(http.post(PAGE, form)) == "/admin/generations/generation/"
    assert http.get("/admin/").status_code == 200
    later_page = log_in(olga).get(PAGE).content.decode()
    assert secret not in later_page
    assert "<svg" not in later_page


def test_a_wrong_code_and_a_used_code_are_refused(olga: User) -> None:
    set_up(olga)
    http = log_in(olga)
    used = http.post(PAGE, {"code": code_of(olga)}).content.decode()
    assert "not right, or was used before" in used
    assert http.get("/admin/").status_code == 302
    assert "A code has six digits" in http.post(PAGE, {"code": "abc"}).content.decode()


def test_guesses_are_slowed_down(olga: User) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        set_up(olga)
        clock.shift(timedelta(minutes=2))
        http = log_in(olga)
        http.post(PAGE, {"code": "000000"})
        assert "Too many wrong codes" in http.post(PAGE, {"code": code_of(olga)}).content.decode()
        clock.shift(timedelta(seconds=5))
        assert http.post(PAGE, {"code": code_of(olga)}).status_code == 302


@pytest.mark.parametrize("next_url", ["https://evil.example/", "//evil.example/admin/", "/v1/generations", ""])
def test_the_page_redirects_only_to_the_panel(olga: User, next_url: str) -> None:
    http = log_in(olga)
    http.get(PAGE)
    assert next_of(http.post(PAGE, {"code": code_of(olga), "next": next_url})) == "/admin/"


def test_a_lost_factor_is_removed_in_the_shell(olga: User) -> None:
    set_up(olga)
    out = StringIO()
    call_command("second_factor", "reset", "olga", stdout=out)
    assert "next login of olga" in out.getvalue()
    assert not TOTPDevice.objects.exists()
    for name in ("olga", "eve"):
        with pytest.raises(CommandError):
            call_command("second_factor", "reset", name)


def test_the_api_and_users_who_are_no_staff_have_no_second_factor(alice: Caller) -> None:
    assert alice.http.get("/v1/generations").status_code == 200
    assert Client().get(PAGE)["Location"] == "/admin/login/"
    user = User.objects.create_user("caller")
    assert log_in(user).get(PAGE)["Location"] == "/admin/login/"
    assert not TOTPDevice.objects.exists()


def test_without_the_setting_no_code_is_required(olga: User, settings: Any) -> None:
    settings.STAFF_TOTP = False
    assert log_in(olga).get("/admin/").status_code == 200
