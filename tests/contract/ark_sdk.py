"""The model maker's own SDK, unmodified, against the sandbox's Ark wire: what the sandbox serves is what the SDK reads.

The SDK lies in an environment of its own, var/contract/ark-sdk; the program that uses it is tests/sdk/ark_runtime.py.
"""

import json
from typing import Any

from deploy import stack
from generations.upstream.novita.liveness import BOGUS_KEY
from tests.contract.generated_clients import PROGRAMS, ClientError, run_command
from tests.contract.service import Service

PYTHON = stack.ROOT / "var" / "contract" / "ark-sdk" / "bin" / "python"
EXPECTED: dict[str, Any] = {
    "echo": "sdk-plain",
    "is_of_id": True,
    "task": ["seedance-1-0-pro-fast-251015", "succeeded", "sdk-plain", 42, "480p", "16:9"],
    "numbers": [2, 24, 172_800],
    "tier": "default",
    "tokens": 864 * 480 * (24 * 2 + 1) // 1024,
    "lasted": True,
    "video": 200,
    "moderated": ["failed", "OutputVideoSensitiveContentDetected"],
    "default_tier": ["plain", "queued"],  # flex only where it is asked for
    "flex_tier": ["flex"],
    "succeeded": ["plain"],
    "other_model": 0,
    "cancelled": "cancelled",
    "errors": {
        "key": ["ArkAuthenticationError", 401, "AuthenticationError"],
        "model": ["ArkNotFoundError", 404, "InvalidEndpointOrModel.NotFound"],
        "field": ["ArkBadRequestError", 400, "InvalidParameter.UnsupportedParameter"],
        "value": ["ArkBadRequestError", 400, "InvalidParameter"],
        "text": ["ArkBadRequestError", 400, "InputTextSensitiveContentDetected"],
        "rate": ["ArkRateLimitError", 429, "ServerOverloaded"],
        "account": ["ArkPermissionDeniedError", 403, "AccountOverdueError"],
        "task": ["ArkNotFoundError", 404, "NotFound.Task"],
        "running": ["ArkConflictError", 409, "InvalidAction.RunningTaskDeletion"],
    },
    "broken": ["ArkInternalServerError", 500, "InternalServiceError"],
    # The SDK sends a POST again, twice by default: one call after which the answer is 500 pays for three tasks. The
    # service's own client sends each create once.
    "paid_by_one_call": 3,
}


def failures(service: Service) -> list[str]:
    """Run the SDK's program against the sandbox of the service, and return what went wrong."""
    try:
        printed = run_command(PYTHON, PROGRAMS / "ark_runtime.py", service.sandbox_url, BOGUS_KEY, cwd=PROGRAMS)
    except ClientError as error:
        return [f"the maker's SDK: {error}"]
    facts = json.loads(printed)
    messages = [
        f"the maker's SDK: {name} is {facts.get(name)!r}, not {value!r}"
        for name, value in EXPECTED.items()
        if facts.get(name) != value
    ]
    print("the maker's SDK: created, listed, cancelled and downloaded tasks of the sandbox")
    return messages
