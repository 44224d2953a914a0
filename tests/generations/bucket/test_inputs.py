"""Tests of stored input images: each is stored once for a tenant, also by requests at the same time."""

from typing import Any

import pytest

from generations.bucket import inputs, objects
from generations.media.images import inspect
from generations.models import InputImage
from tests.support.factories import Caller
from tests.support.images import image_bytes

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("bucket")]


def test_an_image_that_another_request_stores_at_the_same_time_is_stored_once(alice: Caller, monkeypatch: Any) -> None:
    image, put, others = inspect(image_bytes()), objects.put, list[InputImage]()

    def put_late(*args: Any) -> None:
        with monkeypatch.context() as inner:
            inner.setattr(objects, "put", put)
            others.append(inputs.store(alice.tenant.pk, image))
        put(*args)

    monkeypatch.setattr(objects, "put", put_late)
    stored = inputs.store(alice.tenant.pk, image)
    assert [stored] == others == list(InputImage.objects.all())


def test_the_row_describes_the_image_and_each_tenant_has_a_row_of_its_own(alice: Caller, bob: Caller) -> None:
    content = image_bytes(width=400)
    image = inspect(content)
    own, other = (inputs.store(caller.tenant.pk, image) for caller in (alice, bob))
    row = InputImage.objects.get(pk=own.pk)
    assert (row.tenant, row.sha256, row.key) == (alice.tenant, image.sha256, f"inputs/{alice.tenant.pk}/{image.sha256}")
    assert (row.format, row.width, row.height, row.size) == (image.format, 400, image.height, len(content))
    assert row.created_at is not None
    assert row.gone_at is None
    assert other.pk != own.pk
    assert objects.read(own.key) == objects.read(other.key) == content
    assert inputs.store(alice.tenant.pk, image) == own
