"""Staff sign in by the company's login at a real provider, and have the roles of their groups."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, User
from django.http import HttpRequest

from seedance_service.models import StaffIdentity
from tenants.models import AuditEntry
from tests.http_client import Client
from tests.service.panel.company_login.conftest import turn_passwords_off
from tests.support.openid_provider import CALLBACK, OpenIdProvider, begin, come_back, sign_in

pytestmark = [pytest.mark.story, pytest.mark.one_database]


def roles_of(name: str) -> set[str]:
    return set(User.objects.get(username=name).groups.values_list("name", flat=True))


def is_signed_in(http: Client) -> bool:
    return bool(http.get("/admin/").status_code == 200)


def test_a_first_sign_in_makes_a_user_with_the_roles_of_the_groups(provider: OpenIdProvider) -> None:
    subject = provider.add("nora", "Finance", "On call", "Chess", first_name="Nora", email="nora@example.com")
    http = Client()
    answer = sign_in(http, provider, "nora", "/admin/generations/generation/?q=1")
    assert (answer.status_code, answer["Location"]) == (302, "/admin/generations/generation/?q=1")
    assert is_signed_in(http)
    user = User.objects.get(username="nora")
    assert (user.first_name, user.email, user.is_staff, user.is_superuser) == ("Nora", "nora@example.com", True, False)
    assert not user.has_usable_password()
    assert roles_of("nora") == {"billing", "support"}
    [identity] = StaffIdentity.objects.filter(user=user)
    assert (identity.issuer, identity.subject) == (provider.issuer, subject)
    entries = AuditEntry.objects.filter(target="nora").values_list("actor", "action", "reason")
    assert set(entries) == {("nora", "create user", "company login"), ("nora", "grant roles", "company login")}


def test_the_request_has_state_nonce_and_a_challenge(provider: OpenIdProvider) -> None:
    query = parse_qs(urlsplit(begin(Client())).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["redirect_uri"] == [f"http://testserver{CALLBACK}"]
    assert query["scope"] == ["openid profile email groups"]
    assert all(len(query[name][0]) >= 32 for name in ("state", "nonce", "code_challenge"))


def test_behind_tls_the_provider_sends_the_browser_to_https(provider: OpenIdProvider, settings: Any) -> None:
    settings.SESSION_COOKIE_SECURE = True
    assert parse_qs(urlsplit(begin(Client())).query)["redirect_uri"] == [f"https://testserver{CALLBACK}"]


def test_a_later_sign_in_takes_over_names_and_groups(provider: OpenIdProvider) -> None:
    provider.add("olaf", "Leads", email="olaf@example.com")
    sign_in(Client(), provider, "olaf")
    User.objects.filter(username="olaf").update(is_superuser=True, password="pbkdf2_sha256$1$a$b")
    provider.add("olaf", "Finance", email="o@example.com", last_name="Berg")
    sign_in(Client(), provider, "olaf")
    user = User.objects.get(username="olaf")
    assert (user.email, user.last_name, user.is_superuser) == ("o@example.com", "Berg", False)
    assert not user.has_usable_password()
    assert roles_of("olaf") == {"billing"}
    assert AuditEntry.objects.filter(target="olaf", action="revoke roles", actor="olaf").exists()
    assert User.objects.filter(username__startswith="olaf").count() == 1


def test_without_a_mapped_group_there_is_no_session_and_no_user(provider: OpenIdProvider, caplog: Any) -> None:
    provider.add("paul", "Chess")
    http = Client()
    answer = sign_in(http, provider, "paul")
    assert answer.status_code == 403
    assert "You have no role here" in answer.content.decode()
    assert not is_signed_in(http)
    assert not User.objects.filter(username="paul").exists()
    assert "Chess" in caplog.text
    assert "eyJ" not in caplog.text


def test_who_lost_the_groups_loses_the_roles(provider: OpenIdProvider) -> None:
    provider.add("pia", "Finance")
    earlier = Client()
    sign_in(earlier, provider, "pia")
    assert earlier.get("/admin/tenants/ledgerentry/").status_code == 200
    provider.add("pia")
    assert sign_in(Client(), provider, "pia").status_code == 403
    assert roles_of("pia") == set()
    assert earlier.get("/admin/tenants/ledgerentry/").status_code == 403


def test_an_account_with_the_name_and_email_of_a_superuser_is_another_user(provider: OpenIdProvider) -> None:
    root = User.objects.create_superuser("Root", "root@example.com", "a-long-enough-password")
    provider.add("root", "Finance", email="root@example.com")
    http = Client()
    sign_in(http, provider, "root")
    assert http.get("/admin/auth/user/").status_code == 403
    assert roles_of("root-company") == {"billing"}
    root.refresh_from_db()
    assert (root.is_superuser, root.check_password("a-long-enough-password"), root.groups.count()) == (True, True, 0)
    sign_in(Client(), provider, "root")
    assert User.objects.count() == 2


def test_an_inactive_user_stays_out_and_a_session_ends_at_once(provider: OpenIdProvider) -> None:
    provider.add("quinn", "Leads")
    http = Client()
    sign_in(http, provider, "quinn")
    assert is_signed_in(http)
    User.objects.filter(username="quinn").update(is_active=False)
    assert not is_signed_in(http)
    answer = sign_in(http, provider, "quinn")
    assert answer.status_code == 403
    assert "not active" in answer.content.decode()
    assert not is_signed_in(http)


@pytest.mark.parametrize("next_url", ["https://evil.example/admin/", "//evil.example/admin/", "/v1/generations", "x"])
def test_a_sign_in_goes_on_to_the_panel_alone(provider: OpenIdProvider, next_url: str) -> None:
    provider.add("rita", "Leads")
    assert sign_in(Client(), provider, "rita", next_url)["Location"] == "/admin/"


def test_no_second_factor_of_ours_is_asked_for(provider: OpenIdProvider, settings: Any) -> None:
    settings.STAFF_TOTP = True
    provider.add("sven", "Leads")
    http = Client()
    sign_in(http, provider, "sven")
    assert is_signed_in(http)
    assert "Recovery codes" not in http.get("/admin/").content.decode()
    assert http.get("/admin/second-factor/")["Location"] == "/admin/"
    assert http.get("/admin/recovery-codes/")["Location"] == "/admin/"


def test_passwords_off_ends_their_sessions_and_not_those_of_the_company(
    provider: OpenIdProvider, settings: Any
) -> None:
    provider.add("tara", "Leads")
    root = User.objects.create_superuser("root", password="a-long-enough-password")
    by_password, by_company = Client(), Client()
    form = {"username": "root", "password": "a-long-enough-password", "next": "/admin/"}
    assert by_password.post("/admin/login/", form).status_code == 302
    sign_in(by_company, provider, "tara")
    turn_passwords_off(settings)
    assert not is_signed_in(by_password)
    assert is_signed_in(by_company)
    refused = by_password.post("/admin/login/", form)
    assert refused.status_code == 403
    assert "Passwords do not sign in here" in refused.content.decode()
    assert authenticate(HttpRequest(), username=root.username, password="a-long-enough-password") is None
    assert not is_signed_in(by_password)
    assert Group.objects.get(name="owner") in User.objects.get(username="tara").groups.all()


def test_a_log_out_ends_the_session_here_and_at_the_provider(provider: OpenIdProvider) -> None:
    provider.add("uma", "Leads")
    http = Client()
    with httpx.Client() as browser:
        come_back(http, provider.walk(begin(http), "uma", browser=browser))
        page = http.post("/admin/logout/")
        assert page.status_code == 200
        assert not is_signed_in(http)
        [address] = {line.split('"')[1] for line in page.content.decode().split("href=") if "/logout/" in line[:200]}
        assert 'http-equiv="refresh"' in page.content.decode()
        answer = browser.get(address.replace("&amp;", "&"))
        assert (answer.status_code, answer.headers["Location"]) == (302, "http://testserver/admin/login/")
        again = browser.get(begin(http))
        assert "/accounts/login/" in again.headers["Location"]


def test_a_log_out_of_a_password_session_stays_here(provider: OpenIdProvider) -> None:
    User.objects.create_superuser("root", password="a-long-enough-password")
    http = Client()
    http.post("/admin/login/", {"username": "root", "password": "a-long-enough-password"})
    assert provider.issuer not in http.post("/admin/logout/").content.decode()
    assert not is_signed_in(http)


def test_a_log_out_does_not_need_the_provider(provider: OpenIdProvider, settings: Any) -> None:
    provider.add("vera", "Leads")
    http = Client()
    sign_in(http, provider, "vera")
    settings.OIDC_ISSUER = "http://localhost:9"
    assert http.post("/admin/logout/").status_code == 200
    assert not is_signed_in(http)
