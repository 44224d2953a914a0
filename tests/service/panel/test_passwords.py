"""Each way to set a password of the panel asks Django's validators."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.urls import reverse

from seedance_service import settings as written
from tests.http_client import Client

pytestmark = pytest.mark.one_database
GOOD = "a-long-enough-passphrase"
WEAK = ["1", "12345678", "password", "short"]


@pytest.fixture(autouse=True)
def _validators(settings: Any, db: None) -> None:
    settings.AUTH_PASSWORD_VALIDATORS = written.AUTH_PASSWORD_VALIDATORS


def create_superuser(monkeypatch: Any, password: str) -> None:
    """Run the command as scripts do."""
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", password)
    call_command("createsuperuser", "--noinput", username="olga", email="olga@example.com", verbosity=0)


@pytest.mark.parametrize("password", [*WEAK, "olga@example"])
def test_no_command_creates_a_user_with_a_weak_password(monkeypatch: Any, password: str) -> None:
    with pytest.raises(CommandError, match=r"password|similar"):
        create_superuser(monkeypatch, password)
    assert not User.objects.exists()


def test_a_good_password_is_taken(monkeypatch: Any) -> None:
    create_superuser(monkeypatch, GOOD)
    assert User.objects.get().check_password(GOOD)


@pytest.mark.parametrize("password", WEAK)
def test_the_panels_pages_take_no_weak_password(password: str) -> None:
    root = User.objects.create_superuser("root", password=GOOD)
    olga = User.objects.create_user("olga", password=GOOD, is_staff=True)
    http = Client()
    http.force_login(root)
    both = {"password1": password, "password2": password, "usable_password": "true"}
    assert http.post(reverse("admin:auth_user_add"), {"username": "olga1", **both}).status_code == 200
    assert http.post(reverse("admin:auth_user_password_change", args=[olga.pk]), both).status_code == 200
    http.force_login(olga)
    own = {"old_password": GOOD, "new_password1": password, "new_password2": password}
    assert http.post(reverse("admin:password_change"), own).status_code == 200
    olga.refresh_from_db()
    assert olga.check_password(GOOD)
    assert User.objects.count() == 2
