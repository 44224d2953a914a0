"""Addresses and rows for the tests of the panel of generations."""

from typing import Any

from django.urls import reverse

from generations import lifecycle
from generations.models import Generation
from tests.generations.test_lifecycle import put_in
from tests.http_client import Client
from tests.support.factories import Caller, make_generation

LIST = reverse("admin:generations_generation_changelist")
SEEDS = reverse("admin:generations_seedrecord_changelist")
SCRIPT = "<script>alert(1)</script>"


def page_url(generation: Generation, name: str = "change") -> str:
    """Return the address of a page about the generation."""
    return reverse(f"admin:generations_generation_{name}", args=[generation.pk])


def list_ids(http: Client, address: str = LIST, **query: Any) -> set[str]:
    """Return the ids of the generations that the list shows."""
    response = http.get(address, query)
    assert response.status_code == 200
    return {str(row.pk) for row in response.context["cl"].result_list}


def put_in_or_cancel(caller: Caller, status: str) -> Generation:
    """Return a generation that came to `status` by the lifecycle's transitions; "cancelled" is possible too."""
    if status != Generation.Status.CANCELLED:
        return put_in(caller, status)[0]
    generation = make_generation(caller)
    assert lifecycle.cancel(generation, "cancelled by the caller")
    return generation
