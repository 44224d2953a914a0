"""No key, signature or upstream URL is in a log, an error page, the panel, the database or a task of the queue."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.urls import reverse
from django_q.models import OrmQ

from generations import lifecycle, wakeups
from generations.intake import create
from generations.models import Generation
from generations.upstream import circuit_breaker
from generations.worker import steps
from seedance_service.logs import RedactingFormatter
from tests.support.factories import Caller
from tests.support.images import mp4
from tests.support.upstream import Upstream, refusal
from tests.support.worker import claim_due

UPSTREAMS_SIGNATURE = "upstreamsecret"  # tests/support/upstream.py signs its URLs with it


@pytest.fixture
def logged(settings: Any) -> Iterator[list[str]]:
    """Every line that any logger writes, as the service's own handler would print it."""
    facts = dict(settings.LOGGING["formatters"]["line"])
    del facts["()"]
    lines: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(self.format(record))

    keeper, root = Keeper(), logging.getLogger()
    keeper.setFormatter(RedactingFormatter(**facts))
    level = root.level
    root.addHandler(keeper)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(keeper)
    root.setLevel(level)


@pytest.fixture
def after_a_day(
    alice: Caller, body: dict[str, Any], bucket: Any, upstream: Upstream, settings: Any, monkeypatch: Any
) -> dict[str, str]:
    """The secrets, after everything that handles them has worked, failed, and failed unexpectedly."""
    secrets = {
        "the caller's key": alice.key_text,
        "the upstream's key": settings.NOVITA_API_KEY,
        "the upstream's signature": UPSTREAMS_SIGNATURE,
        "S3's secret": settings.AWS_SECRET_ACCESS_KEY,
    }
    path = "/v1/generations"
    upstream.video(mp4())
    alice.http.post(path, body, format="json")
    sweep()
    sweep()
    upstream.on_submit = refusal(403, "INVALID_API_KEY")
    alice.http.post(path, body, format="json")
    sweep()
    upstream.on_submit = lambda handler: None
    sweep()
    upstream.on_submit = lambda handler: (200, {}, b'{"task_id": "again"}')
    alice.http.post("/v3/async/seedance-v1-lite-i2v", body, format="json")
    sweep()
    upstream.on_video = 500, {}, b"oops"
    sweep()
    settings.S3_ENDPOINT_URL = "http://127.0.0.1:9"
    alice.http.post(path, body | {"image": body["image"]}, format="json")
    settings.S3_ENDPOINT_URL = ""

    def broken(*args: Any) -> None:
        raise RuntimeError(
            f"with {alice.key_text}, {settings.NOVITA_API_KEY} and {upstream.url}/v?X-Amz-Signature=abc123def"
        )

    monkeypatch.setattr(create, "_draft", broken)
    for api in (path, "/v3/async/seedance-v1-lite-i2v"):
        answer = alice.http.post(api, body, format="json")
        assert answer.status_code == 500
        for what, secret in secrets.items():
            assert secret not in answer.content.decode(), what
    wakeups.wake_worker()
    return secrets


def sweep() -> None:
    circuit_breaker.resume("novita")
    Generation.objects.filter(finished_at=None).update(due_at=lifecycle.clock.now())
    for generation in claim_due(100):
        steps.advance(generation)


def test_no_log_line_holds_one(logged: list[str], after_a_day: dict[str, str]) -> None:
    text = "\n".join(logged)
    assert "with [hidden]" in text or "RuntimeError" in text
    for what, secret in {**after_a_day, "our signature": "abc123def"}.items():
        assert secret not in text, what


def test_no_row_of_the_database_holds_one(after_a_day: dict[str, str]) -> None:
    assert OrmQ.objects.count() == 1
    rows = 0
    with connection.cursor() as cursor:
        for model in apps.get_models():
            cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')
            for row in cursor.fetchall():
                rows += 1
                for what, secret in after_a_day.items():
                    assert secret not in str(row), f"{what} in {model._meta.db_table}"
    assert rows > 50
    assert all(after_a_day["the caller's key"] not in str(task.task) for task in OrmQ.objects.all())


def test_no_page_of_the_panel_shows_one(after_a_day: dict[str, str], admin_client: Any) -> None:
    pages = [reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") for model in shown()]
    pages += [
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[row.pk])
        for model in shown()
        for row in model._default_manager.all()[:5]
    ]
    assert len(pages) > 15
    for page in pages:
        answer = admin_client.get(page, follow=True)
        assert answer.status_code == 200, page
        for what, secret in after_a_day.items():
            assert secret not in answer.content.decode(), f"{what} on {page}"


def shown() -> list[Any]:
    from django.contrib import admin

    return [model for model in admin.site._registry if model._meta.app_label in ("tenants", "generations")]
