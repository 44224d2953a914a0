"""Answers of the model maker's own wire, for a scripted upstream and for the parsers, and all codes of its errors."""

import json
from typing import Any

import httpx

from generations.upstream import answers
from tests.support.upstream import ASKED, Answer, as_json

MODEL = "seedance-1-0-pro-250528"
REQUEST_ID = "021764400000000000000000000000000000000000000000000ab"

ID, OTHER = "cgt-20261129101500-ab1cd", "cgt-20261129101501-xy2z9"

CONTENT = [
    "MissingParameter",
    "MissingParameter.content",
    "InvalidParameter",
    "InvalidParameter.duration",
    "InvalidParameter.UnsupportedParameter",
    "InvalidParameter.TaskTypeConstraint",
    "InvalidParameter.TaskTypeMismatch",
    "InvalidImageURL.EmptyURL",
    "InvalidImageURL.InvalidFormat",
]
MODERATED = [
    "InputTextSensitiveContentDetected",
    "InputImageSensitiveContentDetected",
    "InputImageSensitiveContentDetected.PolicyViolation",
    "InputImageSensitiveContentDetected.PrivacyInformation",
    "InputVideoSensitiveContentDetected",
    "InputAudioSensitiveContentDetected",
    "SensitiveContentDetected",
    "InputTextRiskDetection",
    "InputImageRiskDetection",
    "ContentSecurityDetectionError",
]
OUTPUT_MODERATED = [
    "OutputVideoSensitiveContentDetected",
    "OutputVideoSensitiveContentDetected.PolicyViolation",
    "OutputAudioSensitiveContentDetected",
    "OutputImageRiskDetection",
]
OF_ACCOUNT = [
    (401, "AuthenticationError"),
    (401, "InvalidAccountStatus"),
    (403, "AccessDenied"),
    (403, "AccessDenied.Ip"),
    (403, "AccountOverdueError"),
    (403, "OperationDenied.ServiceNotOpen"),
    (403, "OperationDenied.ServiceOverdue"),
    (403, "OperationDenied.SomethingNew"),
    (429, "QuotaExceeded"),
    (429, "SetLimitExceeded"),
    (400, "AccountOverdueError"),  # the code decides before the status
]
LATER = [
    "RateLimitExceeded.EndpointRPMExceeded",
    "RateLimitExceeded.EndpointTPMExceeded",
    "ModelAccountRpmRateLimitExceeded",
    "ModelAccountTpmRateLimitExceeded",
    "ModelAccountIpmRateLimitExceeded",
    "APIAccountRpmRateLimitExceeded",
    "AccountRateLimitExceeded",
    "RequestBurstTooFast",
    "ServerOverloaded",
    "InflightBatchsizeExceeded",
]
GONE = [
    (400, "InvalidEndpoint.ClosedEndpoint"),
    (404, "InvalidEndpointOrModel.NotFound"),
    (404, "InvalidEndpointOrModel.ModelIDAccessDisabled"),
    (404, "ModelNotOpen"),
    (404, "UnsupportedModel"),
    (404, "NotFound.Model"),
]


def parsed(status: int, body: Any, **headers: str) -> answers.Answer:
    """Return an answer for a parser, whose body is JSON unless it is given as bytes."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answers.Answer(status, httpx.Headers(headers), content)


def created(task_id: str = ID) -> Answer:
    """Return the answer to a create."""
    return as_json({"id": task_id})


def error(code: Any, message: str | None = None) -> dict[str, Any]:
    """Return the envelope of an error, whose message ends with the id of the request."""
    words = f"about {code}" if message is None else message
    return {"error": {"code": code, "message": f"{words} Request id: {REQUEST_ID}", "param": "", "type": "BadRequest"}}


def refusal(status: int, code: Any, message: str | None = None, **headers: str) -> Answer:
    """Return an answer with the envelope of an error."""
    return as_json(error(code, message), status, **headers)


def task_object(status: Any, task_id: Any = ASKED, /, **fields: Any) -> dict[str, Any]:
    """Return a task: of the task that is asked for, if no other is named. A field that is None is left out."""
    usual = {"id": task_id, "model": MODEL, "status": status, "created_at": 1795947300, "updated_at": 1795947345}
    return {name: value for name, value in {**usual, **fields}.items() if value is not None}


def task(status: str, task_id: Any = ASKED, **fields: Any) -> Answer:
    """Return the answer to a question about a task."""
    return as_json(task_object(status, task_id, **fields))


def rendered(url: str = "https://videos.example.com/1.mp4", **fields: Any) -> dict[str, Any]:
    """Return a task that has succeeded, as the maker's page shows one, with other `fields`."""
    usual = {"content": {"video_url": url}, "seed": 42, "resolution": "720p", "ratio": "16:9", "duration": 5}
    usage = {"completion_tokens": 103818, "total_tokens": 103818}
    return task_object("succeeded", **{**usual, "framespersecond": 24, "usage": usage, **fields})


def page(*tasks: Any, total: Any = None) -> Answer:
    """Return a page of the list of tasks, the only one if there is no `total`."""
    return as_json({"items": list(tasks), "total": len(tasks) if total is None else total})
