"""Statements by hand do what the ORM does; and what is remembered for a moment is remembered for no longer."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import time_machine
from django.db import IntegrityError, OperationalError, connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from generations import queue
from generations.api import lookup
from generations.models import Event, Generation, Label
from tenants import administration, statements, writing
from tenants.key_cache import cached_keys
from tenants.models import LedgerEntry, Window
from tests.conftest import Caller, count_rings, make_generation

pytestmark = pytest.mark.django_db
BODY = {"image": "https://example.com/a.png", "resolution": "480p", "metadata": {"team": "web", "zone": "ä"}}


def columns(row: Model, *but: str) -> dict[str, Any]:
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in but}


@pytest.mark.parametrize("model", [Generation, Event, Label, LedgerEntry])
def test_an_insert_writes_what_the_orm_writes(alice: Caller, model: type[Model]) -> None:
    made = make_generation(alice, metadata={"team": "web"}, image_url="https://example.com/ä.png")
    row = model._default_manager.order_by("pk").last()  # type: ignore[attr-defined]
    assert row is not None
    facts = columns(row, "id")
    if model is Generation:
        facts |= {"id": uuid4(), "upstream_id": "up-2", "resumed_at": timezone.now()}
    elif model is LedgerEntry:
        facts |= {"generation_id": uuid4(), "month": timezone.now().date()}
    elif model is Label:
        facts |= {"name": "other"}
    twin = model(**facts)
    assert statements.run(*statements.Insert(model)(twin)) == []
    found = {"pk": facts["id"]} if "id" in facts else {}
    written = model._default_manager.filter(**found).order_by("pk").last()  # type: ignore[attr-defined]
    assert written is not None
    assert columns(written, "id") == {name: value for name, value in facts.items() if name != "id"}
    assert made.pk


def test_an_insert_takes_the_schemas_word_where_nothing_is_said(alice: Caller) -> None:
    facts: dict[str, Any] = {"duration": 5, "seed": 1, "price_micro": 0, "image_url": "https://example.com/a.png"}
    facts |= {"image": make_generation(alice).image, "due_at": timezone.now()}
    generation = Generation(tenant=alice.tenant, api_key=alice.key, **facts)
    statements.run(*statements.Insert(Generation)(generation))
    assert (generation.external_id, generation.webhook_format, generation.metadata) == ("", "standard", {})
    assert columns(Generation.objects.get(pk=generation.pk)) == columns(generation)


def test_what_the_database_refuses_is_djangos_error(alice: Caller) -> None:
    generation = make_generation(alice)
    with pytest.raises(IntegrityError), transaction.atomic():
        statements.run(*statements.Insert(Generation)(generation))


def test_a_select_finds_what_the_orm_finds(alice: Caller, bob: Caller) -> None:
    image = make_generation(alice).image
    g = make_generation(alice, image=image, last_image=None, metadata={"a": "b"}, image_url="https://example.com/ä.png")
    with CaptureQueriesContext(connection) as asked:
        [found] = lookup._own(g.pk, alice.tenant.pk, False)
        assert found.image == image
        assert found.last_image is None
    assert len(asked) == 0  # all of it came with the statement itself
    assert columns(found) == columns(Generation.objects.get(pk=g.pk))
    assert not found._state.adding
    assert list(lookup._own(g.pk, bob.tenant.pk, False)) == list(lookup._own(g.pk, alice.tenant.pk, True)) == []


# -- an admission that is a transaction by itself: one statement on PostgreSQL, several by hand on SQLite -----------


@pytest.fixture
def admitted(alice: Caller, monkeypatch: Any) -> list[bool]:
    """Whether each admission was made so."""
    from generations import quota

    done, whole = [], quota.admit_at_once

    def noted(*args: Any) -> Any:
        answer = whole(*args)
        done.append(answer is not None)
        return answer

    monkeypatch.setattr(quota, "admit_at_once", noted)
    return done


@pytest.fixture
def within_a_minute() -> Iterator[None]:
    """At the turn of a minute its window is to be opened anew, and that admission is not made so."""
    with time_machine.travel(timezone.now().replace(second=5)):
        yield


@pytest.mark.usefixtures("bucket", "within_a_minute")
class TestAtOnce:
    pytestmark = pytest.mark.django_db(transaction=True)

    def create(self, caller: Caller, **changed: Any) -> Any:
        return caller.http.post("/v1/generations", {**BODY, **changed}, format="json")

    def test_the_second_of_a_minute_is_made_at_once_and_writes_the_same(
        self, alice: Caller, admitted: list[bool]
    ) -> None:
        first, second = (self.create(alice).json()["id"] for _ in range(2))
        assert admitted == [False, True]  # the windows had to be opened
        rows = [Generation.objects.get(pk=pk) for pk in (first, second)]
        own = ("id", "created_at", "due_at", "seed", "first_eta")
        assert columns(rows[0], *own) == columns(rows[1], *own)
        assert [row.events.get().message for row in rows] == ["accepted"] * 2
        assert [row.labels.count() for row in rows] == [2, 2]
        holds = [LedgerEntry.objects.get(generation_id=row.pk) for row in rows]
        assert columns(holds[0], "id", "generation_id", "at") == columns(holds[1], "id", "generation_id", "at")
        assert set(Window.objects.values_list("used", flat=True)) >= {2}

    def test_a_full_window_takes_all_of_it_back(self, alice: Caller, admitted: list[bool]) -> None:
        alice.limit(per_day=2)
        assert [self.create(alice).status_code for _ in range(4)] == [202, 202, 429, 429]
        assert admitted == [False, True, False, False]
        assert [model.objects.count() for model in (Generation, LedgerEntry, Event)] == [2, 2, 2]
        assert Window.objects.get(kind="per_day", api_key=None).used == 2
        assert Window.objects.get(kind="in_flight", api_key=None).used == 2

    @pytest.mark.parametrize(
        ("change", "status"),
        [
            (lambda alice: administration.suspend(administration.Act(by="t"), alice.tenant), 403),
            (lambda alice: administration.revoke_key(administration.Act(by="t"), alice.key), 401),
            (lambda alice: administration.change_tenant(administration.Act(by="t"), alice.tenant, in_flight=1), 429),
            (lambda alice: administration.change_key(administration.Act(by="t"), alice.key, per_day=1), 429),
            (lambda alice: administration.change_tenant(administration.Act(by="t"), alice.tenant, in_flight=9), 202),
            (
                lambda alice: administration.change_tenant(
                    administration.Act(by="t"), alice.tenant, time_zone="Asia/Tokyo"
                ),
                202,
            ),
        ],
    )
    def test_what_was_changed_holds_for_the_very_next_one_though_the_key_is_remembered(
        self, alice: Caller, admitted: list[bool], change: Any, status: int
    ) -> None:
        assert self.create(alice).status_code == 202
        read_before = cached_keys.get(alice.key_text)
        change(alice)
        assert read_before
        cached_keys.put(read_before)  # as in a process that heard nothing of the change
        assert self.create(alice).status_code == status
        assert False in admitted[1:]

    def test_a_picture_that_was_given_up_meanwhile_is_kept_anew(self, alice: Caller, admitted: list[bool]) -> None:
        from generations import inputs
        from generations.models import InputImage
        from tests.pictures import base64_of, picture

        body = base64_of(picture())
        assert self.create(alice, image=body).status_code == 202
        self.create(alice)
        kept = inputs.keep

        def given_up(*args: Any) -> Any:
            found = kept(*args)
            InputImage.objects.filter(pk=found.pk).update(gone_at=timezone.now())
            inputs.keep = kept
            return found

        inputs.keep = given_up
        answer = self.create(alice, image=body)
        assert answer.status_code == 202
        image = Generation.objects.get(pk=answer.json()["id"]).image
        assert image is not None
        assert image.gone_at is None
        assert admitted[-2:] == [False, True]


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("bucket", "within_a_minute")
@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has a writer for each connection")
class TestOneWriter:
    @pytest.fixture
    def used(self, monkeypatch: Any) -> list[Any]:
        """The connection of each row of a generation that is written."""
        used, run_by = list[Any](), statements.run_by

        def noted(by: Any, sql: str, values: Any) -> Any:
            rows = run_by(by, sql, values)
            if sql.startswith('INSERT INTO "generations_generation"'):
                used.append(by.connection)
            return rows

        monkeypatch.setattr(statements, "run_by", noted)
        return used

    def create(self, caller: Caller) -> None:
        try:
            assert caller.http.post("/v1/generations", BODY, format="json").status_code == 202
        finally:
            if threading.current_thread() is not threading.main_thread():
                connection.close()

    def test_all_threads_write_by_one_connection(self, alice: Caller, used: list[Any]) -> None:
        self.create(alice)  # opens the windows, as Django does it
        threads = [threading.Thread(target=self.create, args=[alice]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(used) == 1 + 1 + 8  # the first is tried by hand first
        assert len({id(one) for one in used[2:]}) == 1
        assert used[1] is connection.connection is not used[2]
        assert Generation.objects.count() == LedgerEntry.objects.count() == 9

    def test_it_is_made_anew_as_often_as_any(self, alice: Caller, used: list[Any]) -> None:
        for _ in range(2):
            self.create(alice)
        writing._writer.get().close_at = 0.0  # it is older than CONN_MAX_AGE: the file may be another one now
        self.create(alice)
        assert used[-1] is not used[-2]
        assert Generation.objects.count() == 3


def cut() -> None:
    """The connection, as a restart of the server does to each that a web process keeps."""
    connection.ensure_connection()
    info = connection.connection.info
    with psycopg.connect(info.dsn, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [info.backend_pid])


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(connection.vendor != "postgresql", reason="a file is not cut off")
class TestACutConnection:
    def test_fails_no_statement_that_comes_first(self) -> None:
        cut()
        assert statements.run("SELECT 7", []) == [(7,)]

    def test_fails_one_amid_a_transaction_and_none_after_it(self) -> None:
        def twice() -> None:
            with transaction.atomic():
                assert statements.run("SELECT 7", []) == [(7,)]
                cut()
                statements.run("SELECT 7", [])

        with pytest.raises(OperationalError):
            twice()
        connection.close_if_unusable_or_obsolete()
        assert statements.run("SELECT 7", []) == [(7,)]


# -- what is remembered for a moment --------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_rings_at_once_the_first_goes_out_and_one_more_for_the_rest(monkeypatch: Any) -> None:
    monkeypatch.setattr(queue, "QUIET", 0.2)
    monkeypatch.setattr(queue, "RING_PATIENCE", timedelta(0))  # each ring that is made goes out
    assert queue.ring()
    assert [queue.ring() for _ in range(50)] == [False] * 50
    assert OrmQ.objects.count() == 1
    assert count_rings() == 2
    time.sleep(0.25)
    assert queue.ring()
