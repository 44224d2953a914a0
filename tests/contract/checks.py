"""What Schemathesis does not ask by itself: whether the code of each error is one that the document has for it, and
whether each operation was reached at all.
"""

import json
from pathlib import Path
from typing import Any

import schemathesis

DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parents[2] / "openapi.json").read_text())


def resolved(part: dict[str, Any]) -> Any:
    """What the part refers to within the document, or the part itself."""
    found: Any = DOCUMENT
    for name in part.get("$ref", "").split("/")[1:]:
        found = found[name]
    return found if "$ref" in part else part


def words(error: dict[str, Any]) -> str:
    """What a program reads of an error, at either entrance."""
    return str(error["reason"] if "reason" in error else error["code"])


def documented(case: Any, status: int) -> set[str]:
    answer = resolved(DOCUMENT["paths"][case.path][case.operation.method.lower()]["responses"].get(str(status), {}))
    examples = [one for media in answer.get("content", {}).values() for one in media["examples"].values()]
    return {words(resolved(one)["value"]) for one in examples}


@schemathesis.check
def every_code_is_documented(context: Any, response: Any, case: Any) -> None:
    """Each answer of an error is one of its operation's examples; 405 is of none, since no operation was meant."""
    if response.status_code >= 400 and response.status_code != 405:
        told = words(response.json())
        assert told in documented(case, response.status_code), f"{told} is no code of {case.operation.label}"


@schemathesis.check
class EveryOperationIsReached:
    def __init__(self) -> None:
        self._asked, self._reached = set[str](), set[str]()

    def after_response(self, context: Any, response: Any, case: Any) -> None:
        self._asked.add(case.operation.label)
        if response.status_code < 400:
            self._reached.add(case.operation.label)

    def after_run(self, context: Any) -> None:
        missed = sorted(self._asked - self._reached)
        assert not missed, f"refused all the time: {missed}"
