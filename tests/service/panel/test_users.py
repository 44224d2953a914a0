"""What each role may open and do in the panel: a table, and every address of the panel against it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.urls import get_resolver, reverse
from django.utils import timezone

from generations.models import Delivery, Generation, Pause, SeedRecord, WebhookEndpoint, Worker
from generations.reports import worker_hosts
from tenants.models import ApiKey, AuditEntry, LedgerEntry, Tenant
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.webhooks import make_endpoint

pytestmark = pytest.mark.one_database

EVERYBODY = ("viewer", "support", "billing", "owner")
OPS, ACTS, MONEY, OWNER, NOBODY = (
    ("viewer", "support", "owner"),
    ("support", "owner"),
    ("billing", "owner"),
    ("owner",),
    (),
)
AUDIT = ("support", "billing", "owner")

# Which pages of a model each role may open: its list and its rows; Django's own add; all others by name.
TABLE: dict[str, dict[str, tuple[str, ...]]] = {
    "generations_generation": {
        "view": OPS,
        "video": OPS,
        "history": AUDIT,
        **dict.fromkeys(("attach", "resubmit", "release", "give_up", "cancel", "run_now", "retry_copy"), ACTS),
        **dict.fromkeys(("fail", "rerun", "delete_files"), ACTS),
    },
    "generations_seedrecord": {"view": OPS, "history": OPS, "export": OPS},
    "generations_webhookendpoint": {
        "view": OPS,
        "history": AUDIT,
        **dict.fromkeys(("make", "change_endpoint", "rotate", "disable", "enable", "remove"), ACTS),
    },
    "generations_delivery": {"view": OPS, "history": AUDIT, "redeliver": ACTS},
    "generations_pause": {"view": OPS, "history": OPS},
    "generations_worker": {"view": OPS, "history": OPS},
    "tenants_tenant": {
        "view": EVERYBODY,
        "add": OWNER,
        "history": AUDIT,
        "create_key": OWNER,
        **dict.fromkeys(("adjust", "suspend", "resume"), MONEY),
    },
    "tenants_apikey": {"view": EVERYBODY, "history": AUDIT, "change_limits": ACTS, "revoke": ACTS, "roll": OWNER},
    "tenants_ledgerentry": {"view": MONEY, "history": MONEY},
    "tenants_auditentry": {"view": AUDIT, "history": AUDIT},
    "auth_user": {"view": OWNER, "add": OWNER, "history": OWNER, "password_change": OWNER},
    "auth_group": {"view": OWNER, "history": OWNER},
}
# Nobody's in particular: of the login, or asked by a page that is open already, for what its user may see.
OPEN = {"index", "login", "logout", "password_change", "password_change_done", "jsi18n", "view_on_site", "search"}
OPEN |= {"autocomplete", "app_list", "second_factor"}


def names() -> Iterator[str]:
    def walk(patterns: Any, path: str = "") -> Iterator[tuple[str | None, str]]:
        for pattern in patterns:
            here = path + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern.url_patterns, here)
            else:
                yield pattern.name, here

    yield from (name for name, path in walk(get_resolver().url_patterns) if path.startswith("admin/") and name)


def allowed(name: str) -> tuple[str, ...]:
    [model] = [model for model in TABLE if name.startswith(f"{model}_")]
    page = name.removeprefix(f"{model}_")
    known = TABLE[model]
    if page in ("changelist", "change"):
        return known["view"]
    if page in ("add", "delete"):
        return known.get(page, NOBODY)
    return known[page]


@pytest.fixture
def rows(alice: Caller, bucket: Any) -> dict[str, Any]:
    """One of each, by the names of its pages."""
    User.objects.create_user("somebody")
    g = make_generation(alice)
    facts = {
        "upstream_id": "up",
        "video_key": "v",
        "poster_key": "p",
        "video_size": 1,
        "video_sha256": "ab",
        "finished_at": timezone.now(),
    }
    Generation.objects.filter(pk=g.pk).update(status="succeeded", due_at=None, **facts)
    endpoint = make_endpoint(alice)
    kept = {"tenant": alice.tenant, "test": False, "type": "generation.succeeded", "due_at": timezone.now()}
    Delivery.objects.create(endpoint=endpoint, message_id="evt_1", **kept)
    Pause.objects.create(upstream="live", since=timezone.now(), probe_at=timezone.now(), reason="no balance")
    worker_hosts.record_heartbeat()
    found: list[Any] = [model._default_manager.order_by("pk").last() for model in MODELS]
    return {f"{row._meta.app_label}_{row._meta.model_name}": row for row in found}


MODELS: list[Any] = [Generation, SeedRecord, WebhookEndpoint, Delivery, Pause, Worker]
MODELS += [Tenant, ApiKey, LedgerEntry, AuditEntry, User, Group]


def member(role: str) -> Client:
    user = User.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    http = Client()
    http.force_login(user)
    return http


@pytest.mark.parametrize("role", EVERYBODY)
def test_each_page_opens_to_whom_the_table_says(rows: dict[str, Any], role: str) -> None:
    http, wrong = member(role), []
    rows["auth_user"] = User.objects.get(username=role)
    for name in sorted(set(names()) - OPEN):
        model = next(model for model in TABLE if name.startswith(f"{model}_"))
        has_row = not name.endswith(("_changelist", "_add", "_export", "_make"))
        answer = http.get(reverse(f"admin:{name}", args=[rows[model].pk] if has_row else []))
        if answer.status_code == 302 and answer["Location"].startswith("/admin/"):
            answer = http.get(answer["Location"])
        is_open = answer.status_code in (200, 302)
        assert is_open or answer.status_code in (403, 404), name
        if is_open != (role in allowed(name)):
            wrong.append(name)
    assert wrong == []


def test_the_table_has_each_page_of_the_panel() -> None:
    for name in set(names()) - OPEN:
        allowed(name)
    assert {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry} == set(TABLE)


@pytest.mark.parametrize(
    ("role", "seen", "hidden"),
    [
        ("viewer", {"Generations", "Seed log", "Workers", "Tenants"}, {"Ledger", "Audit log", "Users"}),
        ("support", {"Generations", "Deliveries", "Audit log"}, {"Ledger", "Users"}),
        ("billing", {"Tenants", "Ledger", "Audit log"}, {"Generations", "Seed log", "Workers", "Users"}),
        ("owner", {"Generations", "Ledger", "Users", "Roles"}, set()),
    ],
)
def test_the_sidebar_names_what_the_role_may_see(db: None, role: str, seen: set[str], hidden: set[str]) -> None:
    context = member(role).get("/admin/").context
    titles = {item["title"] for group in context["sidebar_navigation"] for item in group["items"]}
    assert seen <= titles
    assert not titles & hidden


def test_billing_reads_no_prompt(rows: dict[str, Any]) -> None:
    Generation.objects.update(prompt="a secret of the caller")
    http = member("billing")
    for path in (
        "/admin/",
        f"/admin/tenants/tenant/{rows['tenants_tenant'].pk}/change/",
        "/admin/tenants/ledgerentry/",
    ):
        assert "a secret of the caller" not in http.get(path).content.decode()


def test_an_owner_gives_roles_and_nothing_more(db: None) -> None:
    http = member("owner")
    owner = User.objects.get(username="owner")
    form = {"username": "owner", "is_active": "on", "is_staff": "on", "date_joined_0": "2026-01-01"}
    form |= {"date_joined_1": "00:00:00", "groups": str(Group.objects.get(name="billing").pk)}
    more = {"is_superuser": "on", "user_permissions": str(Permission.objects.latest("pk").pk)}
    assert http.post(reverse("admin:auth_user_change", args=[owner.pk]), {**form, **more}).status_code == 302
    owner = User.objects.get(username="owner")
    assert [group.name for group in owner.groups.all()] == ["billing"]
    assert (owner.is_superuser, owner.user_permissions.count()) == (False, 0)


@pytest.mark.parametrize("page", ["change", "password_change"])
def test_an_owner_changes_no_superuser(db: None, page: str) -> None:
    root = User.objects.create_superuser("root", password="x")
    password = "a-long-enough-password"
    form = {"username": "mine", "password1": password, "password2": password, "usable_password": "true"}
    assert member("owner").post(reverse(f"admin:auth_user_{page}", args=[root.pk]), form).status_code == 403
    root.refresh_from_db()
    assert (root.username, root.check_password("x")) == ("root", True)


def test_no_page_opens_what_a_queue_or_a_second_factor_holds(db: None) -> None:
    shown = {model._meta.app_label for model in admin.site._registry}
    assert shown == {"auth", "tenants", "generations"}
