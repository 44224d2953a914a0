"""A login to the panel: sessions end by time, and wrong passwords lock a user out."""

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
    """Post the login form and return the response."""
    form = {"username": name, "password": password, "next": "/admin/"}
    return (http or Client()).post("/admin/login/", form, REMOTE_ADDR=address)


def is_logged_in(http: Client) -> bool:
    """Return whether the panel opens its smallest page."""
    return bool(http.get("/admin/generations/pause/").status_code == 200)


def test_ten_wrong_passwords_lock_name_and_address_out_for_a_quarter_of_an_hour(olga: User, caplog: Any) -> None:
    with time_machine.travel(LATER, tick=False) as clock:
        for _ in range(9):
            assert log_in("wrong").status_code == 200
        assert log_in("wrong").status_code == 429
        refused = log_in()
        assert refused.status_code == 429
        assert "Too many wrong passwords" in refused.content.decode()
        assert log_in(address="203.0.113.6").status_code == 302  # the user is not locked out at another address
        clock.shift(timedelta(minutes=15, seconds=1))
        assert log_in().status_code == 302
    assert "wrong" not in caplog.text.replace("wrong passwords", "")


def test_a_colleague_at_the_same_address_is_not_locked_out(olga: User) -> None:
    User.objects.create_superuser("otto", password=PASSWORD)
    for _ in range(12):
        log_in("wrong")
    assert log_in(name="otto").status_code == 302


def test_the_address_is_the_one_that_our_proxy_saw(olga: User, settings: Any) -> None:
    settings.PROXY_HOPS = 1
    for number in range(12):
        form = {"username": "olga", "password": "wrong"}
        headers = {"HTTP_X_FORWARDED_FOR": f"198.51.100.{number}, 203.0.113.9"}  # the caller chose the first address
        response = Client().post("/admin/login/", form, REMOTE_ADDR="10.0.0.1", **headers)
    assert response.status_code == 429


def test_the_addresses_of_one_ipv6_network_are_locked_out_as_one(olga: User) -> None:
    for number in range(10):
        response = log_in("wrong", address=f"2001:db8:1:2::{number:x}")
    assert response.status_code == 429
    assert log_in(address="2001:db8:1:2:ffff::1").status_code == 429
    assert log_in(address="2001:db8:1:3::1").status_code == 302


@pytest.mark.parametrize("forwarded", ["unknown", "", "1.2.3.4:567", "x" * 500, "\xff"])
def test_a_proxy_that_names_no_address_locks_out_no_login(olga: User, settings: Any, forwarded: str) -> None:
    settings.PROXY_HOPS = 1
    form = {"username": "olga", "password": "wrong"}
    assert Client().post("/admin/login/", form, HTTP_X_FORWARDED_FOR=forwarded).status_code == 200
    assert Client().post("/admin/login/", {**form, "password": PASSWORD}).status_code == 302


def test_a_session_ends_after_half_an_hour_without_a_request(olga: User) -> None:
    http = Client()
    with time_machine.travel(LATER, tick=False) as clock:
        log_in(http=http)
        for _ in range(3):
            clock.shift(timedelta(minutes=20))
            assert is_logged_in(http)
        clock.shift(timedelta(minutes=31))
        assert not is_logged_in(http)


def test_automatic_refreshes_do_not_extend_a_session(olga: User) -> None:
    http = Client()
    with time_machine.travel(LATER, tick=False) as clock:
        log_in(http=http)
        assert is_logged_in(http)
        for _ in range(4):
            clock.shift(timedelta(minutes=7))
            assert http.get("/admin/", headers={"X-Refresh": "1"}).status_code == 200
        clock.shift(timedelta(minutes=7))
        assert http.get("/admin/", headers={"X-Refresh": "1"}).status_code == 302


def test_an_active_session_ends_after_half_a_day(olga: User) -> None:
    http = Client()
    with time_machine.travel(LATER, tick=False) as clock:
        log_in(http=http)
        for _ in range(26):
            assert is_logged_in(http)
            clock.shift(timedelta(minutes=28))
        assert not is_logged_in(http)


def test_the_session_cookie_is_not_sent_to_other_sites(olga: User) -> None:
    response = log_in()
    cookie = response.cookies["sessionid"]
    assert cookie["httponly"]
    assert (cookie["samesite"], cookie["max-age"]) == ("Lax", "1800")


def test_the_api_queries_no_session(
    alice: Caller, django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(4) as captured:
        alice.http.get("/v1/generations")
    assert not [query for query in captured.captured_queries if "axes" in query["sql"] or "session" in query["sql"]]
