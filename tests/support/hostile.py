"""What hostile input meets at both APIs: a clear refusal in the API's format, and nothing kept of it."""

from dataclasses import dataclass
from typing import Any

import msgspec

from generations.models import Generation
from tenants.models import LedgerEntry
from tests.support.factories import Caller

RIGHT = {"image": "https://example.com/a.jpg", "resolution": "480p"}  # a create that costs no S3


@dataclass(frozen=True)
class Api:
    name: str
    path: str  # of its create
    accepted: int

    def send(self, caller: Caller, body: Any, **headers: Any) -> Any:
        content = body if isinstance(body, bytes) else msgspec.json.encode(body)
        return caller.http.generic("POST", self.path, content, **{"content_type": "application/json", **headers})


WIRE = Api("v3", "/v3/async/seedance-v1-lite-i2v", 200)
OWN = Api("v1", "/v1/generations", 202)
APIS = [WIRE, OWN]


def check_format(path: str, answer: Any) -> dict[str, Any]:
    """The error's body, in the format of the API that the path belongs to; never a 500."""
    told: dict[str, Any] = answer.json()
    assert 400 <= answer.status_code < 500, (answer.status_code, told)
    if path.startswith("/v3/"):
        assert answer["Content-Type"] == "application/json"
        assert list(told) == ["code", "reason", "message", "metadata"]
        assert (told["code"], bool(told["reason"]), bool(told["message"])) == (answer.status_code, True, True)
    else:
        assert answer["Content-Type"] == "application/problem+json"
        assert (told["status"], bool(told["code"]), bool(told["detail"])) == (answer.status_code, True, True)
    return told


def check_refused(api: Api, caller: Caller, answer: Any, status: int = 400) -> str:
    """What the refusal says. Nothing was recorded, and the caller's next right request is accepted."""
    told = check_format(api.path, answer)
    assert answer.status_code == status, told
    assert len(answer.content) < 10_000  # what was sent is not sent back
    assert not Generation.objects.exists()
    assert not LedgerEntry.objects.exists()
    assert api.send(caller, RIGHT).status_code == api.accepted
    return str(told["message" if api is WIRE else "detail"])
