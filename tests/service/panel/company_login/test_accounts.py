"""The user of an identity: found by issuer and subject alone, made once, named so that no other user is meant."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.db import connection

from seedance_service.models import StaffIdentity
from seedance_service.panel.company_login import accounts
from seedance_service.panel.company_login.refusals import Reason, SignInRefused
from tests.service.panel.company_login.conftest import ROLES

AT_ONCE = 4
ISSUER = "https://login.example.com"


@pytest.fixture(autouse=True)
def _roles(settings: Any) -> None:
    settings.OIDC_ROLES = ROLES


def claims(sub: Any = "1", groups: Any = ("Leads",), **more: Any) -> dict[str, Any]:
    """Return the claims of a checked id token."""
    return {"iss": ISSUER, "sub": sub, "groups": list(groups) if isinstance(groups, tuple) else groups, **more}


@pytest.mark.one_database
@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"preferred_username": "alice"}, "alice"),
        ({"preferred_username": "Alice Ågren (ops)"}, "Alice-Ågren-ops"),
        ({"preferred_username": "", "email": "alice@example.com"}, "alice@example.com"),
        ({"email": "alice@example.com"}, "alice@example.com"),
        ({"preferred_username": 5, "email": ["x"]}, "staff"),
        ({"preferred_username": "\0\n///"}, "staff"),
        ({"preferred_username": "a" * 500}, "a" * 130),
    ],
)
def test_a_new_user_is_named_by_the_claims(db: None, more: dict[str, Any], name: str) -> None:
    user = accounts.sign_in(claims(**more))
    assert user.username == name
    user.full_clean(exclude=["password"])


@pytest.mark.one_database
def test_a_name_that_is_taken_gets_a_suffix(db: None) -> None:
    User.objects.create_superuser("Alice")
    names = [accounts.sign_in(claims(str(number), preferred_username="alice")).username for number in range(3)]
    assert names == ["alice-company", "alice-company-2", "alice-company-3"]
    assert User.objects.get(username="Alice").is_superuser


@pytest.mark.one_database
def test_another_issuer_or_subject_is_another_user(db: None) -> None:
    users = {accounts.sign_in(claims("1")).pk, accounts.sign_in(claims("2")).pk}
    users.add(accounts.sign_in({**claims("1"), "iss": "https://other.example.com"}).pk)
    assert len(users) == 3
    assert accounts.sign_in(claims("1")).pk in users
    assert StaffIdentity.objects.count() == 3


@pytest.mark.one_database
@pytest.mark.parametrize("sub", [None, "", 7, "x" * 256, "a\0b", "a\nb", ["1"]])
def test_a_subject_that_is_none_is_refused(db: None, sub: Any) -> None:
    with pytest.raises(SignInRefused) as refusal:
        accounts.sign_in(claims(sub))
    assert refusal.value.reason is Reason.WRONG
    assert not User.objects.exists()


@pytest.mark.one_database
@pytest.mark.parametrize("groups", [None, [], {}, "leads", 5, [["Leads"]], [{"Leads": 1}], {"Leads": True}, "Leads,x"])
def test_groups_of_another_form_give_no_role(db: None, groups: Any) -> None:
    with pytest.raises(SignInRefused) as refusal:
        accounts.sign_in(claims(groups=groups))
    assert refusal.value.reason is Reason.NO_ROLE


@pytest.mark.one_database
def test_a_single_group_may_be_a_text_and_the_claim_has_a_name_of_its_own(db: None, settings: Any) -> None:
    settings.OIDC_GROUPS_CLAIM = "https://example.com/groups"
    user = accounts.sign_in({**claims(groups="x"), "https://example.com/groups": "Leads"})
    assert [group.name for group in user.groups.all()] == ["owner"]


@pytest.mark.one_database
def test_a_role_that_does_not_exist_gives_nothing(db: None, settings: Any) -> None:
    settings.OIDC_ROLES = [("Leads", "boss")]
    with pytest.raises(SignInRefused):
        accounts.sign_in(claims())


@pytest.mark.one_database
def test_a_user_who_is_no_staff_any_more_stays_out(db: None) -> None:
    user = accounts.sign_in(claims())
    User.objects.filter(pk=user.pk).update(is_staff=False)
    with pytest.raises(SignInRefused) as refusal:
        accounts.sign_in(claims())
    assert refusal.value.reason is Reason.LOCKED
    assert not User.objects.get(pk=user.pk).is_staff


@pytest.mark.django_db(transaction=True)
def test_first_sign_ins_at_once_make_one_user() -> None:
    Group.objects.get_or_create(name="owner")  # a test of transactions before may have emptied the tables
    together = threading.Barrier(AT_ONCE)

    def start(_: int) -> int:
        try:
            together.wait()
            return int(accounts.sign_in(claims(preferred_username="alice")).pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        users = set(pool.map(start, range(AT_ONCE)))
    assert len(users) == 1
    assert (User.objects.count(), StaffIdentity.objects.count()) == (1, 1)
    assert [group.name for group in User.objects.get().groups.all()] == ["owner"]


@pytest.mark.django_db(transaction=True)
def test_accounts_of_one_name_at_once_get_a_user_each() -> None:
    Group.objects.get_or_create(name="owner")
    together = threading.Barrier(AT_ONCE)

    def start(number: int) -> str:
        try:
            together.wait()
            return str(accounts.sign_in(claims(str(number), preferred_username="alice")).username)
        finally:
            connection.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        names = set(pool.map(start, range(AT_ONCE)))
    assert len(names) == AT_ONCE
