"""No row, log, panel page or audit entry holds a webhook secret. Only the answer that creates a secret shows it."""

import logging
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.urls import reverse

from generations.models import Delivery, WebhookEndpoint
from tests.support.factories import Caller
from tests.support.receiver import run_receiver
from tests.support.webhooks import attempt_all, make_due, make_failed

pytestmark = pytest.mark.django_db


@pytest.fixture
def used_secrets(alice: Caller, settings: Any, caplog: Any) -> list[str]:
    """Use webhooks in every way, with success, failure and unexpected failure. Return the secrets and signatures."""
    caplog.set_level(logging.DEBUG)
    http, secrets = alice.http, []

    def collect(answer: Any) -> Any:
        """Collect the secret of the answer, and return the body."""
        secrets.append(answer.json()["secret"])
        return answer.json()

    with run_receiver(settings) as receiver:
        endpoint = collect(http.post("/v1/webhook-endpoints", {"url": receiver.url}, format="json"))
        path = f"/v1/webhook-endpoints/{endpoint['id']}"
        collect(http.post(f"{path}/rotate-secret", {}, format="json"))
        collect(http.post("/v1/webhook-secret/rotate", {}, format="json"))
        make_failed(alice, webhook_url=receiver.url)
        for receiver.answer in (500, 302, 204):
            attempt_all()
            make_due()
        secret_key, settings.SECRET_KEY = settings.SECRET_KEY, "lost"
        make_failed(alice, webhook_url=receiver.url)
        attempt_all()
        settings.SECRET_KEY = secret_key
        http.patch(path, {"enabled": False}, format="json")
        http.patch(path, {"enabled": True, "description": "x"}, format="json")
        http.post(f"{path}/test")
    secrets += [post.headers["webhook-signature"].partition(",")[2][:20] for post in receiver.posts]
    assert len(secrets) > 6
    return secrets


def test_no_row_of_the_database_holds_a_secret(used_secrets: list[str]) -> None:
    with connection.cursor() as cursor:
        for model in apps.get_models():
            cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')
            rows = str(cursor.fetchall())
            assert not [secret for secret in used_secrets if secret.removeprefix("whsec_") in rows], model


def test_no_log_entry_holds_a_secret(used_secrets: list[str], caplog: Any) -> None:
    logged = "\n".join(record.getMessage() for record in caplog.get_records("setup"))
    assert "can not be opened" in logged
    assert not [secret for secret in used_secrets if secret.removeprefix("whsec_") in logged]


def test_no_page_of_the_panel_shows_a_secret_encrypted_or_not(used_secrets: list[str], admin_client: Any) -> None:
    encrypted = WebhookEndpoint.objects.get().secret
    models = [model for model in admin.site._registry if model._meta.app_label in ("tenants", "generations")]
    for model in models:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        pages = [reverse(f"{name}_changelist")]
        pages += [reverse(f"{name}_change", args=[row.pk]) for row in model._default_manager.all()[:2]]
        for page in pages:
            content = admin_client.get(page, follow=True).content.decode()
            assert not [secret for secret in (*used_secrets, encrypted) if secret.removeprefix("whsec_") in content], (
                page
            )


def test_no_later_answer_shows_a_secret(used_secrets: list[str], alice: Caller) -> None:
    endpoint = WebhookEndpoint.objects.get()
    pages = ["/v1/webhook-endpoints", f"/v1/webhook-endpoints/{endpoint.pk}", "/v1/webhook-deliveries"]
    pages += [f"/v1/webhook-deliveries/{row.pk}" for row in Delivery.objects.all()]
    for page in pages:
        content = alice.http.get(page).content.decode()
        assert not [secret for secret in (*used_secrets, endpoint.secret) if secret in content], page
