"""The login page offers the company's login, the password, or both."""

from typing import Any

import pytest

from tests.http_client import Client
from tests.service.panel.company_login.conftest import turn_passwords_off, use

pytestmark = [pytest.mark.one_database, pytest.mark.django_db]

LINK = 'href="/admin/company-login/?next=%2Fadmin%2F'


def page(query: str = "") -> str:
    answer = Client().get(f"/admin/login/{query}")
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_without_the_company_there_is_the_password_alone() -> None:
    assert 'name="password"' in page()
    assert "company" not in page()


def test_both_are_offered(settings: Any) -> None:
    use(settings, "https://login.example.com")
    assert 'name="password"' in page()
    assert page().count(LINK) == 1


def test_with_passwords_off_there_is_no_form(settings: Any) -> None:
    use(settings, "https://login.example.com")
    turn_passwords_off(settings)
    assert 'name="password"' not in page()
    assert page().count(LINK) == 1


def test_the_link_takes_the_requested_page_along(settings: Any) -> None:
    use(settings, "https://login.example.com")
    assert f"{LINK}auth%2Fuser%2F" in page("?next=/admin/auth/user/")
    assert f'{LINK}"' in page("?next=https://evil.example/")
    assert Client().get("/admin/auth/user/")["Location"] == "/admin/login/?next=/admin/auth/user/"
