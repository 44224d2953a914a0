"""A sign-in that is forged, replayed or broken ends on a readable page, without a session and without a 500."""

from typing import Any

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User

from seedance_service import identity_provider
from tests.http_client import Client
from tests.service.panel.company_login.test_sign_in import is_signed_in
from tests.support.openid_provider import CALLBACK, CLIENT_SECRET, OpenIdProvider, begin, come_back, sign_in

pytestmark = [pytest.mark.story, pytest.mark.one_database]


@pytest.fixture(autouse=True)
def _account(provider: OpenIdProvider) -> None:
    provider.add("wanda", "Leads")


def assert_refused(http: Client, answer: Any, status: int, words: str) -> None:
    """Check that the answer is a readable refusal with a way back, and that there is no session."""
    page = answer.content.decode()
    assert (answer.status_code, words in page) == (status, True), page
    assert 'href="/admin/login/"' in page
    assert not is_signed_in(http)


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        ({"signature": "another key"}, "could not be used"),
        ({"signature": "none"}, "could not be used"),
        ({"signature": "secret", "secret": CLIENT_SECRET}, "could not be used"),
        ({"claims": {"nonce": "of another sign-in"}}, "could not be used"),
        ({"claims": {"nonce": None}}, "could not be used"),
        ({"claims": {"aud": "another client"}}, "could not be used"),
        ({"claims": {"aud": ["seedance-panel", "another"], "azp": "another"}}, "could not be used"),
        ({"claims": {"iss": "https://evil.example"}}, "could not be used"),
        ({"signature": "right", "without": ["exp"]}, "could not be used"),
        ({"signature": "right", "without": ["aud"]}, "could not be used"),
        ({"signature": "right", "without": ["nonce"]}, "could not be used"),
        ({"claims": {"sub": "999"}}, "could not be used"),  # the userinfo is of another subject
        ({"userinfo": {"sub": "of another"}}, "could not be used"),
        ({"seconds": -3600}, "The clocks differ"),
        ({"seconds": 3600}, "The clocks differ"),
        ({"away": "/token/"}, "does not answer"),
        ({"away": "/userinfo/"}, "does not answer"),
        ({"away": "/.well-known/jwks.json"}, "does not answer"),
    ],
    ids=str,
)
def test_an_answer_that_is_not_right_lets_no_user_in(
    provider: OpenIdProvider, forged: dict[str, Any], words: str, caplog: Any
) -> None:
    http = Client()
    url = provider.walk(begin(http), "wanda")
    provider.forge(**forged)
    answer = come_back(http, url)
    assert_refused(http, answer, 503 if "away" in forged else 502, words)
    assert User.objects.count() == 0
    assert "a company login came to nothing" in caplog.text
    assert "eyJ" not in caplog.text
    provider.forge()
    assert sign_in(http, provider, "wanda").status_code == 302


def test_a_clock_that_differs_a_little_is_no_fault(provider: OpenIdProvider) -> None:
    provider.forge(seconds=30)
    assert sign_in(Client(), provider, "wanda").status_code == 302


def test_consent_that_is_denied(provider: OpenIdProvider) -> None:
    http = Client()
    url = provider.walk(begin(http), "wanda", agrees=False)
    assert_refused(http, come_back(http, url), 403, "did not let you in")
    assert_refused(http, come_back(http, url), 400, "This sign-in is over")


def test_a_callback_is_used_once_and_by_the_browser_that_began(provider: OpenIdProvider) -> None:
    http, mallory = Client(), Client()
    url = provider.walk(begin(http), "wanda")
    begin(mallory)
    assert_refused(mallory, come_back(mallory, url), 400, "This sign-in is over")
    assert come_back(http, url).status_code == 302
    assert come_back(http, url).status_code == 400
    assert is_signed_in(http)  # a second callback ends no session
    http.post("/admin/logout/")
    assert_refused(http, come_back(http, url), 400, "This sign-in is over")


def test_a_code_of_another_sign_in_is_refused(provider: OpenIdProvider) -> None:
    """Mallory's code in Wanda's browser would sign Wanda in as Mallory: PKCE and nonce belong to one sign-in."""
    http, mallory = Client(), Client()
    theirs = provider.walk(begin(mallory), "wanda")
    ours = provider.walk(begin(http), "wanda")
    code = theirs.split("code=")[1].split("&")[0]
    own_code = ours.split("code=")[1].split("&")[0]
    assert_refused(http, come_back(http, ours.replace(own_code, code)), 502, "could not be used")


@pytest.mark.parametrize("query", ["", "?code=x", "?state=x", "?code=&state=", "?error=access_denied", "?state=%00"])
def test_a_callback_that_belongs_to_no_sign_in(provider: OpenIdProvider, query: str) -> None:
    http = Client()
    assert_refused(http, http.get(CALLBACK + query), 400, "This sign-in is over")
    assert http.post(CALLBACK).status_code == 405


def test_a_provider_that_is_away(provider: OpenIdProvider) -> None:
    provider.forge(away="all")
    http = Client()
    assert http.get("/admin/login/").status_code == 200
    assert_refused(http, http.get("/admin/company-login/"), 503, "does not answer")
    provider.forge()
    assert sign_in(http, provider, "wanda").status_code == 302


def test_refused_sign_ins_lock_nothing(provider: OpenIdProvider) -> None:
    User.objects.create_superuser("root", password="a-long-enough-password")
    provider.forge(claims={"nonce": "x"})
    for _ in range(12):
        assert sign_in(Client(), provider, "wanda").status_code == 502
    assert not AccessAttempt.objects.exists()
    provider.forge()
    assert sign_in(Client(), provider, "wanda").status_code == 302
    form = {"username": "root", "password": "a-long-enough-password"}
    assert Client().post("/admin/login/", form).status_code == 302
    for _ in range(12):
        Client().post("/admin/login/", {**form, "password": "wrong"})
    assert sign_in(Client(), provider, "wanda").status_code == 302


def test_without_the_setting_there_is_no_such_page(provider: OpenIdProvider, settings: Any) -> None:
    settings.OIDC_ISSUER = ""
    identity_provider.load.cache.clear()  # type: ignore[attr-defined]
    assert Client().get("/admin/company-login/").status_code == 404
    assert "company" not in Client().get("/admin/login/").content.decode()
