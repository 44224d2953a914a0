"""Find or create the user of an identity at the company's login, and give it the roles of its groups.

A user is found by issuer and subject alone: at the provider another account may have the name or the e-mail of a user.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction

from seedance_service.models import MAX_SUBJECT_CHARS, StaffIdentity
from seedance_service.panel import staff_audit
from seedance_service.panel.company_login.refusals import Reason, SignInRefused
from tenants.audit import Actor

REASON = "company login"  # of the audit entries
SUFFIX = "company"  # of a user whose name another user has already
FORBIDDEN_IN_NAMES = re.compile(r"[^\w.@+-]+")  # by Django's validator of user names
MAX_NAME_CHARS, MAX_PART_CHARS, MAX_EMAIL_CHARS = 130, 150, 254  # Django's columns, less than theirs, for a suffix
MAX_LOGGED_GROUPS = 20
ATTEMPTS = 10  # of first sign-ins at once, under one identity or one name, one goes on in each attempt


def sign_in(claims: dict[str, Any]) -> User:
    """Return the user of the claims of a checked id token, with new names and roles. Raise SignInRefused."""
    subject, groups = claims.get("sub"), groups_of(claims)
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT_CHARS or not subject.isprintable():
        raise SignInRefused(Reason.WRONG, trouble="the subject is no text of up to 255 characters")
    roles = list(Group.objects.filter(name__in={role for group, role in settings.OIDC_ROLES if group in groups}))
    user = _store(claims, roles)
    if user is None or not roles:
        logged = {"subject": subject, "groups": sorted(groups)[:MAX_LOGGED_GROUPS]}
        raise SignInRefused(Reason.NO_ROLE, **logged, **({"user": user.get_username()} if user else {}))
    if not (user.is_active and user.is_staff):
        raise SignInRefused(Reason.LOCKED, user=user.get_username())
    return user


def groups_of(claims: dict[str, Any]) -> set[str]:
    """Return the groups in the claims: a list of texts, or a single text."""
    value = claims.get(settings.OIDC_GROUPS_CLAIM)
    values = value if isinstance(value, list) else [value]
    return {group for group in values if isinstance(group, str)}


def _store(claims: dict[str, Any], roles: list[Group]) -> User | None:
    """Return the stored user with new names and roles. Return None if there is none and the groups give no role."""
    for _ in range(ATTEMPTS - 1):
        with suppress(IntegrityError), transaction.atomic():
            return _find_and_update(claims, roles)
    with transaction.atomic():
        return _find_and_update(claims, roles)


def _find_and_update(claims: dict[str, Any], roles: list[Group]) -> User | None:
    identity = {"issuer": claims["iss"], "subject": claims["sub"]}
    stored = StaffIdentity.objects.filter(**identity).first()
    if stored is None and not roles:
        return None
    user = User.objects.select_for_update().get(pk=stored.user_id) if stored else _new_user(claims)
    with staff_audit.acting_as(Actor(name=user.username, reason=REASON)):
        _update(user, claims, roles)
        if stored is None:
            StaffIdentity.objects.create(user=user, **identity)
    return user


def _new_user(claims: dict[str, Any]) -> User:
    """Return a user who is not stored yet."""
    user = User(username=_free_name(claims), is_staff=True)
    user.set_unusable_password()
    return user


def _update(user: User, claims: dict[str, Any], roles: list[Group]) -> None:
    """Store the names, the e-mail and the roles. An inactive user stays as it is."""
    if not user.is_active:
        return
    user.first_name = _line(claims.get("given_name") or claims.get("name"), MAX_PART_CHARS)
    user.last_name = _line(claims.get("family_name"), MAX_PART_CHARS)
    user.email = _line(claims.get("email"), MAX_EMAIL_CHARS)
    user.is_superuser = False  # the roles are those of the groups, and no group gives more than a role
    if user.has_usable_password():  # a password would outlive the account at the provider
        user.set_unusable_password()
    user.save()
    user.groups.set(roles)


def _free_name(claims: dict[str, Any]) -> str:
    """Return a user name that no other user has, in any case of letters."""
    given = _line(claims.get("preferred_username") or claims.get("email"), MAX_NAME_CHARS)
    name = User.normalize_username(FORBIDDEN_IN_NAMES.sub("-", given)).strip("-") or "staff"
    return next(free for free in _candidates(name) if not User.objects.filter(username__iexact=free).exists())


def _candidates(name: str) -> Iterator[str]:
    """Yield the name, then the name with suffixes."""
    yield from (name, f"{name}-{SUFFIX}")
    yield from (f"{name}-{SUFFIX}-{number}" for number in count(2))


def _line(value: Any, max_chars: int) -> str:
    """Return a claim as one line of printable characters; an empty text if it is no text."""
    text = "".join(letter for letter in value if letter.isprintable()) if isinstance(value, str) else ""
    return " ".join(text.split())[:max_chars]
