"""An admission is one plan, for the first and every later create of a window, and under concurrent changes."""

import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from generations.bucket import inputs
from generations.intake import create as create_module
from generations.intake import record
from generations.models import Event, Generation, InputImage
from tenants import actions as tenant_actions
from tenants.audit import Actor
from tenants.db.engine import engine
from tenants.errors import ChangedConcurrently, LimitReached
from tenants.known_models import known_models
from tenants.limits import admission, counters
from tenants.models import ApiKey, LedgerEntry, Tenant, Window
from tenants.money import reconcile
from tests.support.factories import Caller, make_generation
from tests.support.images import base64_of, image_bytes

pytestmark = [pytest.mark.usefixtures("bucket"), pytest.mark.django_db(transaction=True)]
BODY = {"image": "https://example.com/a.png", "resolution": "480p", "metadata": {"team": "web", "zone": "ä"}}
OPS = Actor(name="t")
LITE, OTHER = "seedance-v1-lite-i2v", "another-model"
# By the name of the change: the change, and the status of a create of the model LITE.
MODEL_CHANGES: dict[str, tuple[Callable[[Caller], Any], int]] = {
    "tenant's models without it": (
        lambda alice: tenant_actions.change_tenant(OPS, alice.tenant, allowed_models=[OTHER]),
        403,
    ),
    "key's models without it": (lambda alice: tenant_actions.change_key(OPS, alice.key, allowed_models=[OTHER]), 403),
    "tenant's models with it": (
        lambda alice: tenant_actions.change_tenant(OPS, alice.tenant, allowed_models=[OTHER, LITE]),
        202,
    ),
    "key's models with it": (lambda alice: tenant_actions.change_key(OPS, alice.key, allowed_models=[LITE]), 202),
}


@pytest.fixture(autouse=True)
def _models(monkeypatch: Any) -> None:
    """Let lists have another model too."""
    monkeypatch.setattr(known_models, "_source", lambda: [LITE, OTHER])


@pytest.fixture
def plans(monkeypatch: Any) -> list[bool]:
    """Record for each plan that is run whether it was committed."""
    committed, run = list[bool](), engine.run_plan

    def recording(plan: Any) -> Any:
        rows = run(plan)
        committed.append(rows is not None)
        return rows

    monkeypatch.setattr(engine, "run_plan", recording)
    return committed


def create(caller: Caller, **changed: Any) -> Any:
    """Send a create and return the answer."""
    return caller.http.post("/v1/generations", {**BODY, **changed}, format="json")


def columns(row: Model, *but: str) -> dict[str, Any]:
    """Return the row's columns except those in `but`."""
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in but}


def test_the_first_create_of_a_window_writes_the_same_as_every_other(alice: Caller, plans: list[bool]) -> None:
    ids = [create(alice).json()["id"] for _ in range(3)]
    assert plans == [True, True, True]
    rows = [Generation.objects.get(pk=pk) for pk in ids]
    own = ("id", "created_at", "due_at", "seed", "first_eta")
    assert columns(rows[0], *own) == columns(rows[1], *own) == columns(rows[2], *own)
    assert [row.events.get().message for row in rows] == ["accepted"] * 3
    assert [row.labels.count() for row in rows] == [2, 2, 2]
    first, second, _ = [LedgerEntry.objects.get(generation_id=row.pk) for row in rows]
    but = ("id", "generation_id", "at", "windows")
    assert columns(first, *but) == columns(second, *but)
    assert Window.objects.get(kind="in_flight", api_key=None).used == 3


def test_a_full_window_rolls_everything_back(alice: Caller, plans: list[bool]) -> None:
    Tenant.objects.filter(pk=alice.tenant.pk).update(per_day=2)
    assert [create(alice).status_code for _ in range(4)] == [202, 202, 429, 429]
    assert plans == [True, True, False, False]
    assert [model.objects.count() for model in (Generation, LedgerEntry, Event)] == [2, 2, 2]
    assert Window.objects.get(kind="per_day", api_key=None).used == 2
    assert Window.objects.get(kind="in_flight", api_key=None).used == 2


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda alice: tenant_actions.suspend(OPS, alice.tenant), 403),
        (lambda alice: tenant_actions.revoke_key(OPS, alice.key), 401),
        (lambda alice: tenant_actions.change_tenant(OPS, alice.tenant, in_flight=1), 429),
        (lambda alice: tenant_actions.change_key(OPS, alice.key, per_day=1), 429),
        (lambda alice: tenant_actions.change_tenant(OPS, alice.tenant, in_flight=9), 202),
        (lambda alice: tenant_actions.change_tenant(OPS, alice.tenant, time_zone="Asia/Tokyo"), 202),
        *MODEL_CHANGES.values(),
    ],
    ids=["suspended", "revoked", "tenant lowered", "key lowered", "tenant raised", "time zone", *MODEL_CHANGES],
)
def test_a_change_after_the_key_was_read_takes_effect_in_the_admission(
    alice: Caller, plans: list[bool], monkeypatch: Any, change: Callable[[Caller], Any], status: int
) -> None:
    assert create(alice).status_code == 202
    _change_before_the_plan_runs(monkeypatch, lambda: change(alice))
    assert create(alice).status_code == status
    assert plans == [True, False, *{202: [True], 429: [False]}.get(status, [])]
    assert Generation.objects.count() == 1 + (status == 202)
    assert reconcile.check(alice.tenant.pk) == []


def _change_before_the_plan_runs(monkeypatch: Any, change: Callable[[], Any]) -> None:
    """Run `change` between the reading of an admission's key and its plan, once."""
    ensure, done = counters.ensure_windows, list[bool]()

    def ensure_and_change(*args: Any) -> None:
        ensure(*args)
        if not done:
            done.append(True)
            change()

    monkeypatch.setattr(counters, "ensure_windows", ensure_and_change)


def test_an_input_image_that_is_deleted_at_the_same_time_is_stored_again(alice: Caller, plans: list[bool]) -> None:
    body = base64_of(image_bytes())
    assert create(alice, image=body).status_code == 202
    store = inputs.store

    def store_and_delete(*args: Any) -> Any:
        image = store(*args)
        InputImage.objects.filter(pk=image.pk).update(gone_at=timezone.now())
        inputs.store = store
        return image

    inputs.store = store_and_delete
    answer = create(alice, image=body)
    assert answer.status_code == 202
    image = Generation.objects.get(pk=answer.json()["id"]).image
    assert image is not None
    assert image.gone_at is None
    assert plans == [True, False, True]


def test_a_window_that_another_process_deleted_is_inserted_again(alice: Caller, plans: list[bool]) -> None:
    assert create(alice).status_code == 202
    Window.objects.filter(kind="requests_per_minute").delete()
    assert create(alice).status_code == 202
    assert plans in ([True, False, True], [True, True])  # the second where a new minute began
    assert Window.objects.filter(kind="requests_per_minute", api_key=None, used=1).exists()


def test_capacity_that_is_given_back_before_the_reason_is_read_admits(
    alice: Caller, plans: list[bool], monkeypatch: Any
) -> None:
    alice.limit(in_flight=1)
    first = create(alice).json()["id"]
    read, done = counters.read_used, list[bool]()

    def cancel_first(*args: Any) -> Any:
        if not done:
            done.append(True)
            assert alice.http.post(f"/v1/generations/{first}/cancel").status_code == 200
        return read(*args)

    monkeypatch.setattr(counters, "read_used", cancel_first)
    assert create(alice).status_code == 202
    assert plans == [True, False, True]


def test_a_refusal_without_a_reason_ends_with_an_error(alice: Caller, monkeypatch: Any) -> None:
    runs = list[Any]()
    monkeypatch.setattr(engine, "run_plan", lambda plan: runs.append(plan))
    with pytest.raises(ChangedConcurrently):
        make_generation(alice)
    assert len(runs) == admission.MAX_RUNS
    answer = create(alice)
    assert (answer.status_code, answer.json()["code"], answer["Retry-After"]) == (503, "changed_concurrently", "1")
    novita = alice.http.post("/v3/async/seedance-v1-lite-i2v", {**BODY}, format="json")
    assert (novita.status_code, novita.json()["reason"], novita["Retry-After"]) == (503, "CREATE_TASK_FAILED", "1")
    assert Generation.objects.count() == LedgerEntry.objects.count() == 0


def test_it_is_a_savepoint_of_a_callers_transaction(alice: Caller) -> None:
    alice.limit(in_flight=1)
    with transaction.atomic():
        make_generation(alice)
        with pytest.raises(LimitReached):
            make_generation(alice)
        assert Generation.objects.count() == 1  # the transaction is still usable
        transaction.set_rollback(True)
    assert Generation.objects.count() == LedgerEntry.objects.count() == 0


def test_an_operators_rerun_is_one_plan_with_its_audit_entry(alice: Caller, plans: list[bool]) -> None:
    from generations.ops import actions
    from tenants.models import AuditEntry

    source = make_generation(alice, image=None, image_url=BODY["image"])
    rerun = actions.rerun(Actor(name="ops", reason="asked for"), source)
    assert plans == [True, True]
    entry = AuditEntry.objects.get(action="generation: rerun")
    assert (entry.target, entry.changes["made"]) == (str(source.pk), str(rerun.pk))
    alice.limit(in_flight=2)
    with pytest.raises(LimitReached):
        actions.rerun(Actor(name="ops", reason="once more"), source)
    assert AuditEntry.objects.filter(action="generation: rerun").count() == 1


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has a writer for each connection")
class TestOneWriter:
    """On SQLite all threads of a process write by one connection."""

    @pytest.fixture
    def used(self, monkeypatch: Any) -> list[Any]:
        """Record the connection that writes each generation's row."""
        used, run_on = list[Any](), engine.run_on

        def recording(by: Any, sql: str, values: Any) -> Any:
            rows = run_on(by, sql, values)
            if sql.startswith('INSERT INTO "generations_generation"'):
                used.append(by.connection)
            return rows

        monkeypatch.setattr(engine, "run_on", recording)
        return used

    def create(self, caller: Caller) -> None:
        """Send a create, and close the connection of a thread."""
        try:
            assert create(caller).status_code == 202
        finally:
            if threading.current_thread() is not threading.main_thread():
                connection.close()

    def test_all_threads_write_by_one_connection(self, alice: Caller, used: list[Any]) -> None:
        self.create(alice)
        threads = [threading.Thread(target=self.create, args=[alice]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(used) == 1 + 8
        assert len({id(writer) for writer in used}) == 1
        assert connection.connection is not used[0]
        assert Generation.objects.count() == LedgerEntry.objects.count() == 9

    def test_it_is_replaced_when_it_is_older_than_conn_max_age(self, alice: Caller, used: list[Any]) -> None:
        self.create(alice)
        engine._writer.get(connection).close_at = 0.0  # type: ignore[attr-defined]  # older than CONN_MAX_AGE
        self.create(alice)
        assert used[-1] is not used[-2]
        assert Generation.objects.count() == 2


@pytest.mark.parametrize("image", [BODY["image"], base64_of(image_bytes())], ids=["url", "base64"])
def test_limits_that_change_before_each_try_are_locked_at_last(
    alice: Caller, plans: list[bool], monkeypatch: Any, image: str
) -> None:
    ensure, limits = counters.ensure_windows, itertools.count(1000)

    def ensure_and_change(*args: Any) -> None:
        ensure(*args)
        if not connection.in_atomic_block:  # a change by another waits for the lock
            tenant_actions.change_tenant(OPS, alice.tenant, per_day=next(limits))

    monkeypatch.setattr(counters, "ensure_windows", ensure_and_change)
    answer = create(alice, image=image)
    assert (answer.status_code, plans) == (202, [False] * record.MAX_TRIES + [True])
    assert Window.objects.get(kind="per_day", api_key=None).used == 1
    assert "q=1002;" in answer["RateLimit-Policy"]
    assert reconcile.check(alice.tenant.pk) == []


def test_an_image_that_is_deleted_before_each_try_is_a_refusal_that_says_so(alice: Caller, plans: list[bool]) -> None:
    store = inputs.store

    def store_and_delete(*args: Any) -> Any:
        image = store(*args)
        InputImage.objects.filter(pk=image.pk).update(gone_at=timezone.now())
        return image

    inputs.store = store_and_delete
    try:
        answer = create(alice, image=base64_of(image_bytes()))
    finally:
        inputs.store = store
    assert (answer.status_code, answer.json()["code"]) == (503, "changed_concurrently")
    assert plans == [False] * create_module.MAX_TRIES
    assert not Generation.objects.exists()


def test_a_limit_that_was_raised_a_moment_ago_refuses_no_image(alice: Caller) -> None:
    """Another process has changed the limit: this one still has the key as it was, for some seconds."""
    alice.limit(per_day=0)
    assert create(alice, image=base64_of(image_bytes())).status_code == 429
    Tenant.objects.filter(pk=alice.tenant.pk).update(per_day=1)
    assert create(alice, image=base64_of(image_bytes())).status_code == 202


def test_creates_go_on_while_limits_change_and_names_too(alice: Caller) -> None:
    statuses, errors = list[int](), list[Exception]()

    def run(act: Callable[[int], Any]) -> None:
        try:
            for number in range(12):
                act(number)
        except Exception as error:  # a thread's own error would be lost
            errors.append(error)
        finally:
            connection.close()

    def change(number: int) -> None:
        tenant_actions.change_tenant(OPS, alice.tenant, per_day=1000 + number, name=f"alice {number}")
        tenant_actions.change_key(OPS, alice.key, per_month=2000 + number, label=f"key {number}")

    acts = [change, *[lambda _: statuses.append(create(alice).status_code)] * 3]
    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (statuses, errors) == ([202] * 36, [])
    assert reconcile.check(alice.tenant.pk) == []


@pytest.mark.parametrize("path", ["/v1/generations", "/v3/async/seedance-v1-lite-i2v"])
def test_a_cached_key_whose_models_another_process_changed_creates_nothing(
    alice: Caller, plans: list[bool], path: str
) -> None:
    """This process has the key as it was, for some seconds: the admission reads the lists as they are."""
    assert create(alice).status_code == 202
    ApiKey.objects.filter(pk=alice.key.pk).update(allowed_models=[OTHER])
    answer = alice.http.post(path, {**BODY, "image": base64_of(image_bytes())}, format="json")
    assert (answer.status_code, plans) == (403, [True, False])
    assert f"may not use the model {LITE}. It may use: {OTHER}." in answer.content.decode()
    assert Generation.objects.count() == LedgerEntry.objects.count() == 1
    assert reconcile.check(alice.tenant.pk) == []


def test_models_that_change_before_each_try_are_locked_at_last(
    alice: Caller, plans: list[bool], monkeypatch: Any
) -> None:
    ensure, lists = counters.ensure_windows, itertools.cycle([[LITE], [LITE, OTHER]])

    def ensure_and_change(*args: Any) -> None:
        ensure(*args)
        if not connection.in_atomic_block:  # a change by another waits for the lock
            tenant_actions.change_key(OPS, alice.key, allowed_models=next(lists))

    monkeypatch.setattr(counters, "ensure_windows", ensure_and_change)
    assert (create(alice).status_code, plans) == (202, [False] * record.MAX_TRIES + [True])


def test_a_shorter_list_comes_wholly_before_or_after_each_of_many_creates(alice: Caller) -> None:
    """Every create that is admitted was committed before the list without its model."""
    statuses, errors, admitted, some_are_admitted = list[int](), list[Exception](), list[int](), threading.Event()

    def run(act: Callable[[], Any]) -> None:
        try:
            act()
        except Exception as error:  # a thread's own error would be lost
            errors.append(error)
        finally:
            connection.close()

    def create_many() -> None:
        for _ in range(12):
            statuses.append(create(alice).status_code)
            if len(statuses) >= 6:
                some_are_admitted.set()

    def shorten() -> None:
        assert some_are_admitted.wait(60)
        with transaction.atomic():
            tenant_actions.change_tenant(OPS, alice.tenant, allowed_models=[OTHER])
            admitted.append(Generation.objects.count())  # under the tenant's lock: no other create is committed

    threads = [threading.Thread(target=run, args=[act]) for act in (shorten, create_many, create_many, create_many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (errors, set(statuses) - {202, 403}) == ([], set())
    assert statuses.count(202) == Generation.objects.count() == admitted[0] >= 6
    assert reconcile.check(alice.tenant.pk) == []
