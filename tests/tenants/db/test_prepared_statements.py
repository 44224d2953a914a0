"""Prepared statements write and read what the ORM writes and reads."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Model
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from generations.api import tenant_scope
from generations.models import Event, Generation, Label
from tenants.db.engine import engine
from tenants.db.prepared_statements import Insert
from tenants.models import LedgerEntry
from tests.support.factories import Caller, make_generation

pytestmark = pytest.mark.django_db
BODY = {"image": "https://example.com/a.png", "resolution": "480p", "metadata": {"team": "web", "zone": "ä"}}


def columns(row: Model, *but: str) -> dict[str, Any]:
    """Return the row's columns except those in `but`."""
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields if field.name not in but}


@pytest.mark.parametrize("model", [Generation, Event, Label, LedgerEntry])
def test_an_insert_writes_what_the_orm_writes(alice: Caller, model: type[Model]) -> None:
    generation = make_generation(alice, metadata={"team": "web"}, image_url="https://example.com/ä.png")
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
    assert engine.run(*Insert(model)(twin)) == []
    lookup = {"pk": facts["id"]} if "id" in facts else {}
    written = model._default_manager.filter(**lookup).order_by("pk").last()  # type: ignore[attr-defined]
    assert written is not None
    assert columns(written, "id") == {name: value for name, value in facts.items() if name != "id"}
    assert generation.pk


def test_an_insert_uses_the_schemas_default_for_a_column_without_a_value(alice: Caller) -> None:
    facts: dict[str, Any] = {"duration": 5, "seed": 1, "price_micro": 0, "image_url": "https://example.com/a.png"}
    facts |= {"image": make_generation(alice).image, "due_at": timezone.now()}
    generation = Generation(tenant=alice.tenant, api_key=alice.key, **facts)
    engine.run(*Insert(Generation)(generation))
    assert (generation.external_id, generation.webhook_format, generation.metadata) == ("", "standard", {})
    assert columns(Generation.objects.get(pk=generation.pk)) == columns(generation)


def test_a_refused_insert_raises_djangos_error(alice: Caller) -> None:
    generation = make_generation(alice)
    with pytest.raises(IntegrityError), transaction.atomic():
        engine.run(*Insert(Generation)(generation))


def test_a_select_finds_what_the_orm_finds(alice: Caller, bob: Caller) -> None:
    image = make_generation(alice).image
    g = make_generation(alice, image=image, last_image=None, metadata={"a": "b"}, image_url="https://example.com/ä.png")
    with CaptureQueriesContext(connection) as queries:
        [selected] = tenant_scope._select_own(g.pk, alice.tenant.pk, False)
        assert selected.image == image
        assert selected.last_image is None
    assert len(queries) == 0  # the statement itself read the images
    assert columns(selected) == columns(Generation.objects.get(pk=g.pk))
    assert not selected._state.adding
    assert (
        list(tenant_scope._select_own(g.pk, bob.tenant.pk, False))
        == list(tenant_scope._select_own(g.pk, alice.tenant.pk, True))
        == []
    )
