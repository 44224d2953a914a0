"""Every list and page of the panel shows a row's mode as the word "live" or "test"."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from generations.models import Delivery, Generation, SeedRecord, WebhookEndpoint
from tenants.models import ApiKey, LedgerEntry
from tests.http_client import Client
from tests.support.factories import Caller, make_generation
from tests.support.webhooks import make_endpoint

pytestmark = pytest.mark.one_database

MODELS: list[Any] = [ApiKey, LedgerEntry, Generation, SeedRecord, WebhookEndpoint, Delivery]


@pytest.fixture
def rows(alice: Caller, settings: Any) -> None:
    """Create one live and one test row of each model."""
    settings.SANDBOX_BASE_URL = "http://127.0.0.1:9"
    for caller, test in ((alice, False), (alice.with_key(test=True), True)):
        make_generation(caller)
        endpoint = make_endpoint(caller, test=test)
        Delivery.objects.create(
            tenant=alice.tenant, test=test, endpoint=endpoint, message_id="evt_1", type="t", due_at=timezone.now()
        )


def test_the_test_covers_every_model_with_a_mode() -> None:
    with_mode = {model for model in admin.site._registry if any(field.name == "test" for field in model._meta.fields)}
    assert with_mode == set(MODELS)


@pytest.mark.parametrize("model", MODELS)
def test_the_list_shows_the_mode_as_a_word(admin_client: Client, admin_user: User, rows: None, model: Any) -> None:
    request = RequestFactory().get("/admin/")
    request.user = admin_user
    columns = list(admin.site._registry[model].get_list_display(request))
    assert "mode" in columns
    assert "test" not in columns
    path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    parameter = "mode" if model in (Generation, SeedRecord) else "test__exact"
    for value, word in (
        (("test" if parameter == "mode" else "1"), "test"),
        (("" if parameter == "mode" else "0"), "live"),
    ):
        page = admin_client.get(path, {parameter: value} if value else {}).content.decode()
        table = page[page.index('id="result_list"') :]
        cells = table.split('data-label="Mode"')[1:]
        assert cells
        assert all(f"{word}\n" in cell[:700] for cell in cells)


@pytest.mark.parametrize("model", [model for model in MODELS if model is not SeedRecord])
def test_the_page_shows_the_mode_as_a_word(admin_client: Client, rows: None, model: Any) -> None:
    for test, word in ((True, "test"), (False, "live")):
        row = model.objects.filter(test=test).latest("pk")
        path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
        page = admin_client.get(path).content.decode()
        labels = re.findall(r'<label[^>]*>([^<]*)</label>.*?<div class="readonly[^>]*>(.*?)</div>', page, re.DOTALL)
        modes = [re.sub(r"<.*?>", "", value).strip() for label, value in labels if label.strip() == "Mode"]
        assert modes == [word]
        assert "Test" not in [label.strip() for label, _ in labels]
