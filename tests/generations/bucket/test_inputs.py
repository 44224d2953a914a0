"""A picture is kept once a tenant, whoever else keeps it at the same moment."""

from typing import Any

import pytest

from generations.bucket import inputs, objects
from generations.media.images import inspect
from generations.models import InputImage
from tests.support.factories import Caller
from tests.support.images import image_bytes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bucket")]


def test_one_that_another_request_has_kept_meanwhile_is_that_one(alice: Caller, monkeypatch: Any) -> None:
    image, put, others = inspect(image_bytes()), objects.put, list[InputImage]()

    def meanwhile(*args: Any) -> None:
        with monkeypatch.context() as undone:
            undone.setattr(objects, "put", put)
            others.append(inputs.store(alice.tenant.pk, image))
        put(*args)

    monkeypatch.setattr(objects, "put", meanwhile)
    kept = inputs.store(alice.tenant.pk, image)
    assert [kept] == others == list(InputImage.objects.all())


def test_its_row_says_what_it_is_and_another_tenants_is_another(alice: Caller, bob: Caller) -> None:
    content = image_bytes(width=400)
    image = inspect(content)
    kept, others = (inputs.store(caller.tenant.pk, image) for caller in (alice, bob))
    row = InputImage.objects.get(pk=kept.pk)
    assert (row.tenant, row.sha256, row.key) == (alice.tenant, image.sha256, f"inputs/{alice.tenant.pk}/{image.sha256}")
    assert (row.format, row.width, row.height, row.size) == (image.format, 400, image.height, len(content))
    assert row.created_at is not None
    assert row.gone_at is None
    assert others.pk != kept.pk
    assert objects.read(kept.key) == objects.read(others.key) == content
    assert inputs.store(alice.tenant.pk, image) == kept
