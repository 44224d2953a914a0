"""The permissions of each role: every address of the panel is compared with a table."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.urls import get_resolver, reverse
from django.utils import timezone

from generations.models import (
    BilledProduct,
    Delivery,
    Generation,
    LimitWarning,
    ManualPause,
    ModelState,
    Pause,
    SeedRecord,
    UpstreamBill,
    WebhookEndpoint,
    Worker,
)
from generations.reports import worker_hosts
from tenants.limits import refusals
from tenants.models import ApiKey, AuditEntry, LedgerEntry, RefusalCount, Tenant
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.panel import log_in
from tests.support.webhooks import make_endpoint

pytestmark = pytest.mark.one_database

ALL_ROLES = ("viewer", "support", "billing", "owner")
GENERATION_READERS, ACTION_ROLES, BILLING_ROLES, OWNER_ROLE, NO_ROLE = (
    ("viewer", "support", "owner"),
    ("support", "owner"),
    ("billing", "owner"),
    ("owner",),
    (),
)
AUDIT_READERS = ("support", "billing", "owner")

# The roles that may open the pages of each model. "view" is the list and the page of a row; others go by name.
TABLE: dict[str, dict[str, tuple[str, ...]]] = {
    "generations_generation": {
        "view": GENERATION_READERS,
        "video": GENERATION_READERS,
        "history": AUDIT_READERS,
        **dict.fromkeys(("attach", "resubmit", "release", "give_up", "cancel", "run_now", "retry_copy"), ACTION_ROLES),
        **dict.fromkeys(("fail", "rerun", "delete_files", "cancel_matching"), ACTION_ROLES),
        "export": GENERATION_READERS,
    },
    "generations_seedrecord": {"view": GENERATION_READERS, "history": GENERATION_READERS, "export": GENERATION_READERS},
    "generations_webhookendpoint": {
        "view": GENERATION_READERS,
        "history": AUDIT_READERS,
        **dict.fromkeys(
            ("make", "change_endpoint", "rotate", "redeliver_failed", "disable", "enable", "remove"), ACTION_ROLES
        ),
    },
    "generations_delivery": {"view": GENERATION_READERS, "history": AUDIT_READERS, "redeliver": ACTION_ROLES},
    "generations_manualpause": {
        "view": GENERATION_READERS,
        "history": AUDIT_READERS,
        **dict.fromkeys(("pause", "resume"), ACTION_ROLES),
    },
    "generations_modelstate": {
        "view": GENERATION_READERS,
        "history": AUDIT_READERS,
        **dict.fromkeys(("hide", "deprecate", "retire", "restore"), ACTION_ROLES),
    },
    "generations_limitwarning": {"view": ALL_ROLES, "history": ALL_ROLES},
    "generations_upstreambill": dict.fromkeys(("view", "history", "comparison", "comparison_csv"), ALL_ROLES),
    "generations_billedproduct": {"view": ALL_ROLES, "history": AUDIT_READERS, "set_model": BILLING_ROLES},
    "generations_pause": {"view": GENERATION_READERS, "history": GENERATION_READERS},
    "generations_worker": {"view": GENERATION_READERS, "history": GENERATION_READERS},
    "tenants_tenant": {
        "view": ALL_ROLES,
        "add": OWNER_ROLE,
        "history": AUDIT_READERS,
        "create_key": OWNER_ROLE,
        **dict.fromkeys(("adjust", "suspend", "resume", "statement", "statement_csv"), BILLING_ROLES),
    },
    "tenants_apikey": {
        "view": ALL_ROLES,
        "history": AUDIT_READERS,
        "change_limits": ACTION_ROLES,
        "revoke": ACTION_ROLES,
        "roll": OWNER_ROLE,
    },
    "tenants_refusalcount": {"view": ALL_ROLES, "history": ALL_ROLES},
    "tenants_ledgerentry": dict.fromkeys(("view", "history", "export", "billing", "billing_csv"), BILLING_ROLES),
    "tenants_auditentry": {"view": AUDIT_READERS, "history": AUDIT_READERS},
    "auth_user": {
        "view": OWNER_ROLE,
        "add": OWNER_ROLE,
        "history": OWNER_ROLE,
        "password_change": OWNER_ROLE,
        "reset_second_factor": OWNER_ROLE,
    },
    "auth_group": {"view": OWNER_ROLE, "history": OWNER_ROLE},
}
# Pages of no row.
LISTS = (
    "_changelist",
    "_add",
    "_export",
    "_make",
    "_manualpause_pause",
    "_cancel_matching",
    "_billing",
    "_billing_csv",
    "_comparison",
    "_comparison_csv",
)
# Pages of the login, and addresses that an open page calls for what its user may see.
UNCHECKED = {"index", "login", "logout", "password_change", "password_change_done", "jsi18n", "view_on_site", "search"}
UNCHECKED |= {"autocomplete", "app_list", "second_factor", "recovery_codes"}
UNCHECKED |= {"log_in", "log_out", "company_login", "company_login_callback"}


def names() -> Iterator[str]:
    """Yield the names of all addresses under /admin/."""

    def walk(patterns: Any, path: str = "") -> Iterator[tuple[str | None, str]]:
        for pattern in patterns:
            here = path + str(pattern.pattern)
            if hasattr(pattern, "url_patterns"):
                yield from walk(pattern.url_patterns, here)
            else:
                yield pattern.name, here

    yield from (name for name, path in walk(get_resolver().url_patterns) if path.startswith("admin/") and name)


def allowed(name: str) -> tuple[str, ...]:
    """Return the roles that may open the address by the table."""
    [model] = [model for model in TABLE if name.startswith(f"{model}_")]
    page = name.removeprefix(f"{model}_")
    roles = TABLE[model]
    if page in ("changelist", "change"):
        return roles["view"]
    if page in ("add", "delete"):
        return roles.get(page, NO_ROLE)
    return roles[page]


@pytest.fixture
def rows(alice: Caller, bucket: Any) -> dict[str, Any]:
    """Return one row of each model, by the prefix of the names of its pages."""
    User.objects.create_user("another")
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
    columns = {"tenant": alice.tenant, "test": False, "type": "generation.succeeded", "due_at": timezone.now()}
    Delivery.objects.create(endpoint=endpoint, message_id="evt_1", **columns)
    probe_at = timezone.now() + timedelta(hours=1)
    ManualPause.objects.create(scope="account", target="live", actor="olga", reason="a runaway tenant")
    ModelState.objects.create(model=g.model, state="hidden", reason="a trial")
    limit = {"kind": "per_day", "starts_at": timezone.now(), "ends_at": probe_at, "percent": 50, "used": 1, "limit": 2}
    LimitWarning.objects.create(tenant=alice.tenant, **limit)
    Pause.objects.create(upstream="novita", since=timezone.now(), probe_at=probe_at, reason="no balance")
    UpstreamBill.objects.create(account="novita", hour=timezone.now(), product=g.model, amount_micro=1)
    BilledProduct.objects.create(account="novita", product=g.model)
    worker_hosts.record_heartbeat()
    refusals.count(alice.key, "per_day")
    latest: list[Any] = [model._default_manager.order_by("pk").last() for model in MODELS]
    return {f"{row._meta.app_label}_{row._meta.model_name}": row for row in latest}


MODELS: list[Any] = [
    Generation,
    SeedRecord,
    WebhookEndpoint,
    Delivery,
    LimitWarning,
    ManualPause,
    ModelState,
    Pause,
    UpstreamBill,
    BilledProduct,
    Worker,
]
MODELS += [Tenant, ApiKey, RefusalCount, LedgerEntry, AuditEntry, User, Group]


def member(role: str) -> Client:
    """Return an HTTP client of a new staff user with the role."""
    user = User.objects.create_user(role, is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    return log_in(user)


@pytest.mark.parametrize("role", ALL_ROLES)
def test_each_page_opens_to_the_roles_of_the_table(rows: dict[str, Any], role: str) -> None:
    http, wrong = member(role), []
    rows["auth_user"] = User.objects.get(username="another")
    for name in sorted(set(names()) - UNCHECKED):
        model = next(model for model in TABLE if name.startswith(f"{model}_"))
        has_row = not name.endswith(LISTS)
        response = http.get(reverse(f"admin:{name}", args=[rows[model].pk] if has_row else []))
        if response.status_code == 302 and response["Location"].startswith("/admin/"):
            response = http.get(response["Location"])
        is_open = response.status_code in (200, 302)
        assert is_open or response.status_code in (403, 404), name
        if is_open != (role in allowed(name)):
            wrong.append(name)
    assert wrong == []


def test_the_table_has_every_page_of_the_panel() -> None:
    for name in set(names()) - UNCHECKED:
        allowed(name)
    assert {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry} == set(TABLE)


@pytest.mark.parametrize(
    ("role", "visible", "hidden"),
    [
        ("viewer", {"Generations", "Seed log", "Workers", "Tenants"}, {"Ledger", "Audit log", "Users"}),
        ("support", {"Generations", "Deliveries", "Audit log"}, {"Ledger", "Users"}),
        ("billing", {"Tenants", "Ledger", "Audit log"}, {"Generations", "Seed log", "Workers", "Users"}),
        ("owner", {"Generations", "Ledger", "Users", "Roles"}, set()),
    ],
)
def test_the_sidebar_links_to_what_the_role_may_view(db: None, role: str, visible: set[str], hidden: set[str]) -> None:
    context = member(role).get("/admin/").context
    titles = {item["title"] for group in context["sidebar_navigation"] for item in group["items"]}
    assert visible <= titles
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


def test_an_owner_assigns_roles_and_nothing_more(db: None) -> None:
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
    app_labels = {model._meta.app_label for model in admin.site._registry}
    assert app_labels == {"auth", "tenants", "generations"}
