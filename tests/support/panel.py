"""Logged-in users for the tests of the panel."""

from django.contrib.auth.models import Permission, User

from tests.http_client import Client


def log_in(user: User) -> Client:
    """Return an HTTP client in which the user is logged in."""
    http = Client()
    http.force_login(user)
    return http


def log_in_staff(*codenames: str) -> Client:
    """Return an HTTP client of a new staff user "viewer" with these permissions alone."""
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return log_in(user)
