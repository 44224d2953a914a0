"""Both APIs take what the schema of a model's page takes, and name the field that is wrong.

tests/generations/catalog/test_json_schema.py does the same with many more bodies, without the application.
"""

from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generations.catalog import video_models
from generations.models import Generation
from tests.support.factories import Caller
from tests.support.model_bodies import URL, bodies, theirs_for_ours, to_wire

few = settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True, database=None)
PRICED = '{"wan2.6-i2v": {"rates": [{"usd": "0.1"}]}, "wan2.6-t2v": {"rates": [{"usd": "0.1"}]}}'


@pytest.mark.parametrize("model_id", [name for name, m in video_models.models().items() if m.row.state == "active"])
@few
@given(data=st.data())
def test_both_apis_take_what_the_models_schema_takes(
    alice: Caller, settings: Any, model_id: str, data: st.DataObject
) -> None:
    settings.ARK_API_KEY = "a key"
    model = video_models.models()[model_id]
    schema = alice.http.get(f"/v1/models/{model_id}").json()["schema"]
    body = data.draw(bodies(model, may_be_wrong=True))
    # What the text of an image leads to is not in the body.
    body |= {name: URL for name in model.image_fields if isinstance(body.get(name), str) and body[name].strip()}
    native = {"model": model_id, **body}
    is_right = jsonschema.Draft202012Validator(schema).is_valid(native)
    created = alice.http.post("/v1/generations", native, format="json")
    assert_is(created, 202 if is_right else 400)
    assert created.status_code == 202 or all(error["field"] for error in created.json()["errors"])
    if model.route and not theirs_for_ours(model, body):
        for wire in to_wire(model, body):
            assert_is(alice.http.post(model.route, wire, format="json"), 200 if is_right else 400)


@pytest.mark.parametrize("model_id", video_models.models())
@few
@given(data=st.data())
def test_a_quote_takes_what_the_models_schema_takes(
    alice: Caller, settings: Any, model_id: str, data: st.DataObject
) -> None:
    settings.PRICES = PRICED
    model = video_models.models()[model_id]
    schema = alice.http.get(f"/v1/models/{model_id}").json()["schema"]
    body = {"model": model_id, **data.draw(bodies(model, may_be_wrong=True))}
    answer = alice.http.post("/v1/generations/quote", body, format="json")
    assert_is(answer, 200 if jsonschema.Draft202012Validator(schema).is_valid(body) else 400)
    assert not Generation.objects.exists()


def assert_is(answer: Any, status: int) -> None:
    assert answer.status_code == status, answer.content
