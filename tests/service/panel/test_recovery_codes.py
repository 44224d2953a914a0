"""A recovery code lets a user in once, in the place of the authenticator's code."""

import re
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone
from django_otp.plugins.otp_static.models import StaticToken

from tenants.models import AuditEntry
from tests.http_client import Client
from tests.service.panel.test_second_factor import PAGE, code_of
from tests.service.panel.test_second_factor_at_once import AT_ONCE, at_once
from tests.support.panel import log_in

CODES_PAGE = "/admin/recovery-codes/"
CODE = re.compile(r"\b(?:[a-z2-7]{4}-){3}[a-z2-7]{4}\b")


@pytest.fixture(autouse=True)
def _required(settings: Any) -> None:
    settings.STAFF_TOTP = True


@pytest.fixture
def olga(db: None) -> User:
    return User.objects.create_superuser("olga")


def set_up(user: User) -> tuple[Client, list[str]]:
    """Set up the second factor. Return the logged-in client, and the codes that the next page shows."""
    http = log_in(user)
    http.get(PAGE)
    response = http.post(PAGE, {"code": code_of(user)})
    return http, CODE.findall(http.get(response["Location"]).content.decode())


def enter(user: User, code: str) -> Any:
    """Log in again and enter a code. Return the answer."""
    http = log_in(user)
    response = http.post(PAGE, {"code": code})
    response.http = http
    return response


@pytest.mark.one_database
def test_ten_codes_are_shown_once_when_the_authenticator_is_confirmed(olga: User) -> None:
    http = log_in(olga)
    http.get(PAGE)
    address = http.post(PAGE, {"code": code_of(olga), "next": "/admin/auth/user/"})["Location"]
    page = http.get(address).content.decode()
    codes = CODE.findall(page)
    assert len(set(codes)) == 10
    assert 'href="/admin/auth/user/"' in page
    assert http.get(address)["Location"] == CODES_PAGE
    assert not CODE.search(http.get(CODES_PAGE).content.decode())
    stored = set(StaticToken.objects.values_list("token", flat=True))
    assert len(stored) == 10
    assert not stored & {code.replace("-", "") for code in codes}


@pytest.mark.one_database
def test_each_code_lets_in_once(olga: User) -> None:
    _, codes = set_up(olga)
    answer = enter(olga, codes[0].upper().replace("-", " "))
    assert answer["Location"] == "/admin/"
    assert answer.http.get("/admin/").status_code == 200
    again = enter(olga, codes[0])
    assert "not right, or was used before" in again.content.decode()
    assert again.http.get("/admin/").status_code == 302


@pytest.mark.one_database
def test_guesses_of_recovery_codes_are_slowed_down(olga: User) -> None:
    with time_machine.travel(timezone.now(), tick=False) as clock:
        _, codes = set_up(olga)
        assert "not right" in enter(olga, "a" * 16).content.decode()
        assert "Too many wrong codes" in enter(olga, codes[0]).content.decode()
        clock.shift(timedelta(seconds=5))
        assert enter(olga, codes[0]).status_code == 302


@pytest.mark.one_database
def test_the_panel_says_when_few_codes_are_left(olga: User) -> None:
    _, codes = set_up(olga)
    for code in codes[:5]:
        enter(olga, code)
    for code, left in ((codes[5], 0), (codes[6], 3), (codes[7], 2)):
        page = enter(olga, code).http.get("/admin/").content.decode()
        assert (f"You have {left} recovery codes left" in page) == bool(left)
        assert ("recovery codes left" in page) == bool(left)
        assert f'href="{CODES_PAGE}"' in page


@pytest.mark.one_database
def test_new_codes_cancel_the_earlier_ones_and_need_a_code(olga: User) -> None:
    http, codes = set_up(olga)
    assert "not right" in http.post(CODES_PAGE, {"code": "b" * 16}).content.decode()
    with time_machine.travel(timezone.now() + timedelta(minutes=5)):
        http = enter(olga, codes[0]).http
        new = CODE.findall(http.get(http.post(CODES_PAGE, {"code": codes[1]})["Location"]).content.decode())
        assert len(new) == 10
        assert not set(new) & set(codes)
        assert enter(olga, codes[2]).status_code == 200
    with time_machine.travel(timezone.now() + timedelta(minutes=10)):
        assert enter(olga, new[0]).status_code == 302
    assert AuditEntry.objects.filter(action="replace recovery codes", actor="olga", target="olga").count() == 1


@pytest.mark.one_database
@pytest.mark.parametrize("code", ["abc", "12345", "١٢٣٤٥٦", "0" * 16, "a" * 17, "\0" * 16])
def test_what_is_no_code_is_refused_without_a_guess(olga: User, code: str) -> None:
    _, codes = set_up(olga)
    assert enter(olga, code).status_code == 200
    assert enter(olga, codes[0]).status_code == 302  # no guess was counted


@pytest.mark.one_database
def test_a_user_without_codes_is_not_let_in_by_one(olga: User) -> None:
    http = log_in(olga)
    http.get(PAGE)
    assert "no recovery codes" in http.post(PAGE, {"code": "a" * 16}).content.decode()


@pytest.mark.one_database
def test_without_a_second_factor_there_is_no_such_page(olga: User, settings: Any) -> None:
    settings.STAFF_TOTP = False
    assert log_in(olga).get(CODES_PAGE)["Location"] == "/admin/"
    assert Client().get(CODES_PAGE).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_of_requests_at_once_a_recovery_code_lets_one_in(settings: Any) -> None:
    olga = User.objects.create_superuser("olga")
    _, codes = set_up(olga)
    clients = [log_in(olga) for _ in range(AT_ONCE)]
    for http in clients:
        http.get(PAGE)
    answers = at_once(lambda number: clients[number].post(PAGE, {"code": codes[0]}).status_code)
    assert sorted(answers) == [200, 200, 200, 302]
    assert StaticToken.objects.count() == 9
