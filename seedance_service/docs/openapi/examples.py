"""An example of each body, parameter and answer. A test checks each example against its schema."""

from collections.abc import Iterator
from typing import Any

from seedance_service.docs.openapi import model_examples

Part = dict[str, Any]  # of the document

ID, SOURCE = "019ac1f2-7a31-7c55-9d0e-3b6f1a2c4d5e", "019ac1e0-11d4-7b02-8a8e-5f0c2b9e7d1a"
ENDPOINT, DELIVERY = "019ac1b4-0c3d-7e11-b1a7-9a0d1c2e3f40", "019ac1f3-02b8-7f6a-a5d1-4c3e8b6f9a0d"
CREATED, SUBMITTED, FINISHED = (f"2026-11-02T09:30:{second}Z" for second in ("00.000000", "01.204512", "47.918230"))
URL = model_examples.URL
WEBHOOK_URL = "https://example.com/hook"
SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SIGNED = "https://bucket.s3.eu-central-1.amazonaws.com/videos/1/019ac1f2.mp4?X-Amz-Signature=…"

SMALLEST = {"image": URL, "resolution": "480p"}
PLAIN = {
    "prompt": "The lighthouse at dusk, the camera drifts towards it",
    "resolution": "720p",
    "aspect_ratio": "16:9",
    "duration": 10,
    "camera_fixed": False,
    "seed": 42,
}
CALLERS_FIELDS = {"external_id": "order-4711", "metadata": {"team": "web"}, "webhook_url": WEBHOOK_URL}
EVERYTHING = {"image": URL, "last_image": URL, **PLAIN}
STANDARD = model_examples.STANDARD
WITH_SOUND: Part = {"prompt": PLAIN["prompt"], "aspect_ratio": "9:16", "duration": 3, "audio": True}
WITH_SOUND |= {"model": "kling-v3.0-std-t2v"}

REQUESTS: dict[str, dict[str, Any]] = {
    "generations_quote": {"with sound": model_examples.KLING},
    "generations_create": {
        "a URL": SMALLEST,
        "everything": {"model": STANDARD, **EVERYTHING, **CALLERS_FIELDS},
        "a text, with sound": WITH_SOUND,
    },
    "generations_rerun": {"another seed": {"seed": -1}, "unchanged": {}},
    "webhook_endpoints_create": {
        "some types": {
            "url": WEBHOOK_URL,
            "events": ["generation.succeeded", "generation.failed"],
            "description": "billing",
        }
    },
    "webhook_endpoints_change": {"disabled": {"enabled": False}, "another address": {"url": WEBHOOK_URL}},
    "webhook_endpoints_rotate_secret": {"a day's overlap": {"overlap_hours": 24}},
    "webhook_secret_rotate": {"no overlap": {"overlap_hours": 0}},
}
PARAMETERS: dict[str, Any] = {
    "generation_id": ID,
    "task_id": ID,
    "endpoint_id": ENDPOINT,
    "delivery_id": DELIVERY,
    "Idempotency-Key": "order-4711",
    "Prefer": "wait=30",
    "If-None-Match": '"9f86d081884c7d659a2feaa0c55ad015"',
    "model_id": STANDARD,
    "metadata": ["team=web"],
    "external_id": "order-4711",
}

IMAGE = {"url": URL, "sha256": SHA256, "format": "jpeg", "width": 1248, "height": 704, "size": 181204}
STORED_VIDEO: Part = {"url": SIGNED, "size": 4718592, "sha256": SHA256, "codec": "h264", "width": 1248, "height": 704}
STORED_VIDEO |= {"fps": 24.0, "duration": 10.04, "as_requested": True, "differences": []}
QUEUED: Part = {
    "id": ID,
    "status": "queued",
    "progress_percent": 0,
    "model": STANDARD,
    **PLAIN,
    "seed_source": "caller",
    **CALLERS_FIELDS,
    "test": False,
    "image": {"url": URL},
    "last_image": None,
    "rerun_of": None,
    "price_usd": "0.372201",
    "created_at": CREATED,
    "submitted_at": None,
    "finished_at": None,
    "deleted_at": None,
    "expired_at": None,
    "eta": 48,
    "video": None,
    "poster": None,
    "expires_at": None,
    "error": None,
}
OF_TEXT: Part = {**QUEUED, **CALLERS_FIELDS, **WITH_SOUND, "cfg_scale": 0.5, "price_usd": "0.378000", "image": None}
OF_TEXT |= {"resolution": None, "camera_fixed": None, "seed": None, "seed_source": "none"}
CANCELLED = {**QUEUED, "status": "cancelled", "finished_at": FINISHED, "eta": None}
FAILED = {
    **CANCELLED,
    "status": "failed",
    "submitted_at": SUBMITTED,
    "error": {"code": "upstream_failed", "message": "The upstream could not make the video: the task failed."},
}
SUCCEEDED = {
    **QUEUED,
    "status": "succeeded",
    "progress_percent": 100,
    "image": IMAGE,
    "submitted_at": SUBMITTED,
    "finished_at": FINISHED,
    "eta": None,
    "video": STORED_VIDEO,
    "poster": {"url": SIGNED.replace("mp4", "jpg")},
    "expires_at": "2026-11-02T10:30:48.000000Z",
}
DELETED = {**SUCCEEDED, "deleted_at": FINISHED, "video": None, "poster": None, "expires_at": None}
RERUN = {**QUEUED, "rerun_of": SOURCE, "external_id": "", "metadata": {}, "webhook_url": ""}
EVENT = {"sequence": 1, "status": "queued", "message": "accepted", "created_at": CREATED}
LIMIT = model_examples.LIMIT
LIMITS = {"tenant": "web", "time_zone": "Europe/Berlin", "suspended": False, "test": False, "limits": [LIMIT]}
SUMS: Part = {"accepted": 40, "succeeded": 37, "failed": 1, "cancelled": 1, "live": 1, "seconds": 370}
SUMS |= {"usd": "13.771437", "held_usd": "0.372201", "success_rate": 0.9737}
CSV = "day,accepted,succeeded,failed,cancelled,live,seconds,usd,held_usd,success_rate\r\n"
CSV += "2026-11-02,40,37,1,1,1,370,13.771437,0.372201,0.9737\r\n"
SPAN = {"from": "2026-11-01", "to": "2026-11-30", "time_zone": "Europe/Berlin", "group_by": "day", "test": False}
ENDPOINT_BODY: Part = {
    "id": ENDPOINT,
    "url": WEBHOOK_URL,
    "description": "billing",
    "events": ["generation.succeeded", "generation.failed"],
    "disabled_reason": "",
    "test": False,
    "enabled": True,
    "disabled_at": None,
    "failing_since": None,
    "previous_secret_until": None,
    "created_at": CREATED,
}
SECRET = {"secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}
DELIVERY_BODY: Part = {
    "id": DELIVERY,
    "webhook_id": "msg_019ac1f302b87f6aa5d14c3e8b6f9a0d",
    "type": "generation.succeeded",
    "status": "delivered",
    "webhook_endpoint": ENDPOINT,
    "generation": ID,
    "url": None,
    "attempt_count": 1,
    "next_attempt_at": None,
    "test": False,
    "created_at": FINISHED,
    "finished_at": FINISHED,
}
PENDING = {**DELIVERY_BODY, "status": "pending", "attempt_count": 0, "next_attempt_at": FINISHED, "finished_at": None}
DELIVERY_ATTEMPT = {"created_at": FINISHED, "milliseconds": 84, "status_code": 204, "outcome": "delivered"}
PAYLOAD = {"type": "generation.succeeded", "timestamp": FINISHED, "data": {"id": ID}}
TASK: Part = {"task_id": ID, "task_type": "IMG_TO_VIDEO", "reason": ""}
VIDEO = {"video_url": SIGNED, "video_url_ttl": "3600", "video_type": "mp4"}
TASK_QUEUED = {"status": "TASK_STATUS_QUEUED", "eta": 48, "progress_percent": 0}
TASK_SUCCEEDED = {"status": "TASK_STATUS_SUCCEED", "eta": 0, "progress_percent": 100}
EMPTY: Part = {"extra": {"seed": "42"}, "images": [], "audios": []}

ANSWERS: dict[str, dict[str, dict[str, Any]]] = {
    "generations_create": {"202": {"queued": QUEUED}, "200": {"ended during the wait": SUCCEEDED}},
    "generations_rerun": {"202": {"queued": RERUN}, "200": {"ended during the wait": SUCCEEDED}},
    "generations_quote": {"200": {"admitted": model_examples.QUOTE, "refused": model_examples.REFUSED_QUOTE}},
    "models_list": {"200": {"one model": {"models": [model_examples.MODEL]}}},
    "models_get": {"200": {"deprecated": model_examples.MODEL}},
    "generations_list": {"200": {"a page": {"generations": [SUCCEEDED, FAILED], "next_cursor": None}}},
    "generations_get": {"200": {"queued": QUEUED, "succeeded": SUCCEEDED, "failed": FAILED, "of a text": OF_TEXT}},
    "generations_delete": {"202": {"a worker finishes the deletion": DELETED}},
    "generations_cancel": {"200": {"cancelled": CANCELLED}},
    "generations_events": {"200": {"the first event": {"events": [EVENT]}}},
    "limits": {"200": {"a tenant's limit": LIMITS}},
    "usage": {"200": {"by day": {**SPAN, "rows": [{"day": "2026-11-02", **SUMS}], "total": SUMS}, "as CSV": CSV}},
    "webhook_endpoints_list": {"200": {"one endpoint": {"webhook_endpoints": [ENDPOINT_BODY]}}},
    "webhook_endpoints_create": {"201": {"created": {**ENDPOINT_BODY, **SECRET}}},
    "webhook_endpoints_get": {"200": {"enabled": ENDPOINT_BODY}},
    "webhook_endpoints_change": {"200": {"disabled": {**ENDPOINT_BODY, "enabled": False, "disabled_at": FINISHED}}},
    "webhook_endpoints_rotate_secret": {"200": {"a day's overlap": {**SECRET, "previous_secret_until": FINISHED}}},
    "webhook_endpoints_test": {"202": {"pending": {**PENDING, "type": "webhook.test", "generation": None}}},
    "webhook_secret_rotate": {"200": {"no overlap": {**SECRET, "previous_secret_until": None}}},
    "webhook_deliveries_list": {"200": {"a page": {"webhook_deliveries": [DELIVERY_BODY], "next_cursor": None}}},
    "webhook_deliveries_get": {
        "200": {"delivered": {**DELIVERY_BODY, "attempts": [DELIVERY_ATTEMPT], "payload": PAYLOAD}}
    },
    "webhook_deliveries_redeliver": {"202": {"pending": PENDING}},
    "novita_task_result": {
        "200": {
            "queued": {**EMPTY, "task": {**TASK, **TASK_QUEUED}, "videos": []},
            "succeeded": {**EMPTY, "task": {**TASK, **TASK_SUCCEEDED}, "videos": [VIDEO]},
        }
    },
}


def add(operation: Part, requests: dict[str, Any], answers: dict[str, Any]) -> None:
    """Add the examples to the operation's parameters, body and answers."""
    name = operation["operationId"]
    for parameter in operation.get("parameters", []):
        if parameter["name"] in PARAMETERS:
            parameter["example"] = PARAMETERS[parameter["name"]]
    for kind, media in operation.get("requestBody", {}).get("content", {}).items():
        if kind == "application/json":  # JSON can not show the files of a form
            media["examples"] = _as_examples(requests.get(name, {}))
    for status, answer in operation["responses"].items():
        for kind, media in answer.get("content", {}).items():
            media["examples"] = _as_examples(dict(_of_kind(kind, answers.get(name, {}).get(status, {}))))


def _of_kind(kind: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in values.items() if isinstance(value, str) == (kind == "text/csv"))


def _as_examples(values: dict[str, Any]) -> Part:
    return {
        name.replace(" ", "-").replace("'", ""): {"summary": name, "value": value} for name, value in values.items()
    }
