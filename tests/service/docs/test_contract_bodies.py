"""The contract tests send bodies that one model takes, and find an operation that never succeeds."""

from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from generations.catalog import json_schema, video_models
from generations.catalog.request_check import check
from tests.contract import each_operation, fitting_bodies

pytestmark = pytest.mark.one_database
SCHEMAS = {
    model.id: json_schema.create_body(model, {"external_id": {"type": "string"}})
    for model in video_models.models().values()
    if model.row.state == "active"
}
EVERY_FIELD: dict[str, Any] = {
    "seed": 4294967295,
    "resolution": "768p",
    "duration": 3,
    "audio": None,
    "external_id": "a",
}


@pytest.mark.parametrize("model", [None, "no-such-model", *SCHEMAS])
@pytest.mark.parametrize("body", [{}, EVERY_FIELD], ids=["empty", "every field"])
@pytest.mark.parametrize("source", [None, "seedance-v1-lite-i2v", "kling-v3.0-std-t2v"])
def test_a_body_fits_its_model(model: str | None, body: dict[str, Any], source: str | None) -> None:
    fitting = fitting_bodies.fit({**body, "model": model}, SCHEMAS, "https://a.example/1.jpg", source)
    used = video_models.models()[fitting.pop("model", source or fitting_bodies.DEFAULT)]
    fitting.pop("external_id", None)
    assert fitting.keys() <= used.fields.keys()
    if source is None or used.id != source:  # the source of a rerun has the rest
        check(used, fitting)


def test_every_operation_is_called_and_creates_come_first() -> None:
    called = [facts["operationId"] for _, _, facts in each_operation.operations()]
    assert len(called) == sum(len(item) for item in each_operation.DOCUMENT["paths"].values())
    assert called.index("webhook_endpoints_create") < called.index("webhook_endpoints_get")
    assert called[-2:] == ["generations_delete", "webhook_endpoints_delete"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.Response(200, json={"task_id": "00000000-0000-0000-0000-000000000000"}), None),
        (httpx.Response(200, json={"task": 5}), "'task_id' is a required property"),
        (httpx.Response(200, text="ok"), "answered with text/plain"),
        (httpx.Response(201, json={}), "answered 201"),
        (httpx.Response(404, json={}), "answered 404"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_answer_that_the_document_has_not_is_a_failure(answer: httpx.Response, message: str | None) -> None:
    facts = each_operation.DOCUMENT["paths"]["/v3/async/seedance-v1-lite-i2v"]["post"]
    found = list(each_operation._wrong(answer, facts))
    assert [bool(message) and str(message) in text for text in found] == ([True] if message else []), found


def test_an_operation_that_never_succeeds_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    service: Any = SimpleNamespace(
        url="http://service", keys={"alice": "key"}, outside=SimpleNamespace(host="127.0.0.1:1")
    )
    caller = each_operation.Caller(service, {"generations": ["g"], "deliveries": ["d"]})
    refusing = httpx.MockTransport(lambda request: httpx.Response(404, json={}))
    monkeypatch.setattr(caller, "_http", httpx.Client(base_url=service.url, transport=refusing))
    found = (("/v1/limits", "get", each_operation.DOCUMENT["paths"]["/v1/limits"]["get"]),)
    monkeypatch.setattr(each_operation, "operations", lambda: found)
    assert [failure.partition(":")[0] for failure in caller.failures()] == ["GET /v1/limits (no body)"]
