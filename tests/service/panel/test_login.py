"""Who gets into the panel, for how long, and what wrong passwords cost."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from tests.http_client import Client
from tests.support.factories import Caller

pytestmark = pytest.mark.one_database

PASSWORD = "a-long-enough-password"
LATER = timezone.now() + timedelta(days=1)


@pytest.fixture
def olga(db: None) -> User:
    return User.objects.create_superuser("olga", password=PASSWORD)


def log_in(
    password: str = PASSWORD, name: str = "olga", address: str = "203.0.113.5", http: Client | None = None
) -> Any:
    form = {"username": name, "password": password, "next": "/admin/"}
    return (http or Client()).post("/admin/login/", form, REMOTE_ADDR=address)


def is_in(http: Client) -> bool:
    """By the smallest page there is."""
    return bool(http.get("/admin/generations/pause/").status_code == 200)


def test_ten_wrong_passwords_lock_name_and_address_out_for_a_quarter_of_an_hour(olga: User, caplog: Any) -> None:
    with time_machine.travel(LATER, tick=False) as clock:
        for _ in range(9):
            assert log_in("wrong").status_code == 200
        assert log_in("wrong").status_code == 429
        refused = log_in()
        assert refused.status_code == 429
        assert "Too many wrong passwords" in refused.content.decode()
        assert log_in(address="203.0.113.6").status_code == 302  # nobody is locked out from elsewhere
        clock.shift(timedelta(minutes=15, seconds=1))
        assert log_in().status_code == 302
    assert "wrong" not in caplog.text.replace("wrong passwords", "")


def test_others_of_the_same_office_get_in(olga: User) -> None:
    User.objects.create_superuser("otto", password=PASSWORD)
    for _ in range(12):
        log_in("wrong")
    assert log_in(name="otto").status_code == 302


def test_the_address_is_that_which_our_proxy_saw(olga: User, settings: Any) -> None:
    settings.PROXY_HOPS = 1
    for number in range(12):
        form = {"username": "olga", "password": "wrong"}
        told = {"HTTP_X_FORWARDED_FOR": f"198.51.100.{number}, 203.0.113.9"}  # the first one is the caller's word
        answer = Client().post("/admin/login/", form, REMOTE_ADDR="10.0.0.1", **told)
    assert answer.status_code == 429


def test_a_session_ends_when_nothing_was_done_for_half_an_hour(olga: User) -> None:
    http = Client()
    with time_machine.travel(LATER, tick=False) as clock:
        log_in(http=http)
        for _ in range(3):
            clock.shift(timedelta(minutes=20))
            assert is_in(http)
        clock.shift(timedelta(minutes=31))
        assert not is_in(http)


def test_a_dashboard_that_reads_itself_again_keeps_nobody_in(olga: User) -> None:
    http = Client()
    with time_machine.travel(LATER, tick=False) as clock:
        log_in(http=http)
        assert is_in(http)
        for _ in range(4):
            clock.shift(timedelta(minutes=7))
            assert http.get("/admin/", headers={"X-Refresh": "1"}).status_code == 200
        clock.shift(timedelta(minutes=7))
        assert http.get("/admin/", headers={"X-Refresh": "1"}).status_code == 302


def test_a_session_ends_after_half_a_day_whatever_is_done(olga: User) -> None:
    http = Client()
    with time_machine.travel(LATER, tick=False) as clock:
        log_in(http=http)
        for _ in range(26):
            assert is_in(http)
            clock.shift(timedelta(minutes=28))
        assert not is_in(http)


def test_the_cookies_go_nowhere_else(olga: User) -> None:
    answer = log_in()
    cookie = answer.cookies["sessionid"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["max-age"]) == ("Lax", "1800")


def test_the_api_asks_for_no_session(
    alice: Caller, django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(4) as asked:
        alice.http.get("/v1/generations")
    assert not [query for query in asked.captured_queries if "axes" in query["sql"] or "session" in query["sql"]]
