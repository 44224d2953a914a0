"""The hooks of `make contract` drop no failure that the service has to answer for."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from schemathesis.core.failures import AcceptedNegativeData, Failure

pytestmark = pytest.mark.one_database
ROWS: dict[str, Any] = {
    "generations": ["a"],
    "endpoints": ["b"],
    "deliveries": ["c"],
    "spare": ["a"],
    "cursors": {},
    "schemas": {},
}


@pytest.fixture
def hooks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    rows = tmp_path / "rows.json"
    rows.write_text(json.dumps(ROWS))
    monkeypatch.setenv("CONTRACT", str(rows))
    return importlib.import_module("tests.contract.hooks")


def accepted() -> Failure:
    return AcceptedNegativeData(operation="POST /v1/generations", message="", status_code=202, expected_statuses=[])


def test_an_invalid_json_body_that_was_accepted_is_a_failure(hooks: Any) -> None:
    case = SimpleNamespace(media_type="application/json")
    assert hooks.filter_failure(None, accepted(), case, None)


def test_of_a_form_only_an_accepted_one_is_left_to_other_tests(hooks: Any) -> None:
    case = SimpleNamespace(media_type="multipart/form-data")
    other = Failure(operation="POST /v1/generations", title="Server error", message="")
    assert hooks.filter_failure(None, other, case, None)
    assert not hooks.filter_failure(None, accepted(), case, None)
