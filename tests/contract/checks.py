"""Two checks beside those of Schemathesis: each error code is documented, and each operation succeeds once."""

import json
from pathlib import Path
from typing import Any

import schemathesis

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "openapi.json").read_text())


def resolve(part: dict[str, Any]) -> Any:
    """Return the part of the document that a reference names, or the part itself if it is no reference."""
    target: Any = DOCUMENT
    for name in part.get("$ref", "").split("/")[1:]:
        target = target[name]
    return target if "$ref" in part else part


def code_of(error: dict[str, Any]) -> str:
    """Return the code that a program reads, in the error format of either API."""
    return str(error["reason"] if "reason" in error else error["code"])


def documented_codes(case: Any, status: int) -> set[str]:
    """Return the codes that the document has for this status of the case's operation."""
    answer = resolve(DOCUMENT["paths"][case.path][case.operation.method.lower()]["responses"].get(str(status), {}))
    examples = [example for media in answer.get("content", {}).values() for example in media["examples"].values()]
    return {code_of(resolve(example)["value"]) for example in examples}


@schemathesis.check
def every_code_is_documented(context: Any, response: Any, case: Any) -> None:
    """Check that the code of an error is an example of the operation. A 405 belongs to no operation."""
    if response.status_code >= 400 and response.status_code != 405:
        code = code_of(response.json())
        assert code in documented_codes(case, response.status_code), f"{code} is no code of {case.operation.label}"


@schemathesis.check
class EveryOperationIsReached:
    """The check that each operation that was called succeeded at least once."""

    def __init__(self) -> None:
        self._called, self._reached = set[str](), set[str]()

    def after_response(self, context: Any, response: Any, case: Any) -> None:
        self._called.add(case.operation.label)
        if response.status_code < 400:
            self._reached.add(case.operation.label)

    def after_run(self, context: Any) -> None:
        missed = sorted(self._called - self._reached)
        assert not missed, f"never succeeded: {missed}"
