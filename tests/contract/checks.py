"""A check beside those of Schemathesis: each error code is documented. each_operation.py finds what never succeeds."""

from typing import Any

import schemathesis

from tests.contract.each_operation import DOCUMENT, resolve


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
