"""Hostile input at both APIs gets a clear refusal in the API's format, and leaves nothing behind."""

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
    body: dict[str, Any] = answer.json()
    assert 400 <= answer.status_code < 500, (answer.status_code, body)
    if path.startswith("/v3/"):
        assert answer["Content-Type"] == "application/json"
        assert list(body) == ["code", "reason", "message", "metadata"]
        assert (body["code"], bool(body["reason"]), bool(body["message"])) == (answer.status_code, True, True)
    else:
        assert answer["Content-Type"] == "application/problem+json"
        assert (body["status"], bool(body["code"]), bool(body["detail"])) == (answer.status_code, True, True)
    return body


def check_refused(api: Api, caller: Caller, answer: Any, status: int = 400) -> str:
    """What the refusal says. Nothing was recorded, and the caller's next right request is accepted."""
    body = check_format(api.path, answer)
    assert answer.status_code == status, body
    assert len(answer.content) < 10_000  # what was sent is not sent back
    assert not Generation.objects.exists()
    assert not LedgerEntry.objects.exists()
    assert api.send(caller, RIGHT).status_code == api.accepted
    return str(body["message" if api is WIRE else "detail"])
