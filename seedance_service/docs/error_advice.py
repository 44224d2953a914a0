"""What a caller should do about each code, in a sentence or two: all that no class and no table says of it."""

from datetime import UTC, datetime
from typing import Any, NamedTuple

from tenants.limits.admission import refusal
from tenants.limits.windows import Kind, LimitUsage


class Advice(NamedTuple):
    does: str  # what a caller should do
    means: str = ""  # where no docstring says it, or more than one does
    facts: dict[str, Any] = {}  # of the example's sentence
    entrances: tuple[str, ...] = ("/v1/", "/v3/")  # that answer with it
    message: str = ""  # of a generation that failed with it; empty: none does


OWN, NONE = ("/v1/",), ()
DAY, MONTH = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
NEXT_DAY, NEXT_MONTH = datetime(2026, 11, 3, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
REACHED = refusal(LimitUsage(Kind.PER_DAY, False, 200, 200, DAY, NEXT_DAY), 1)
SPENT = refusal(LimitUsage(Kind.USD_PER_MONTH, True, 100_000_000, 99_970_000, MONTH, NEXT_MONTH), 88_209)

AGAIN = "Send the request again after `Retry-After`, with the same `Idempotency-Key`: if the first one was recorded "
AGAIN += "after all, it makes no second generation."
RESEND = "A new create is the way to try again; what this one held was given back."
PICTURE = "Send another picture, or convert this one first. The rules are the same on every try."
BEHIND = " A picture that was given as a URL is looked at later, and then this is why the generation failed."

ADVICE: dict[str, Advice] = {
    # Keys and tenants
    "invalid_api_key": Advice(
        "Check that the whole key is sent, as `Authorization: Bearer KEY`. If it is, ask your operators for a new one: "
        "they see which keys are expired or revoked, and the answer deliberately does not say.",
    ),
    "scope_missing": Advice(
        "Use a key that has the scope, or ask your operators for one.", facts={"scope": "usage:read"}
    ),
    "too_many_failed_authentications": Advice(
        "Wait for `Retry-After` and mend the key first. A key that worked here before is not locked out.",
        facts={"retry_after": 41},
    ),
    "tenant_suspended": Advice("Ask your operators. Reading works all the while."),
    "no_sandbox": Advice("Ask your operators to set a sandbox, or use a live key."),
    "not_possible": Advice(
        "Read the generation and go by its status; the same request will be refused again unless that changes.",
        means="What is asked for can not be done with the generation as it stands: for example to cancel one that was "
        "sent upstream already. The `detail` says why.",
        facts={"reason": "It is running: only what was not yet sent upstream can be cancelled."},
        entrances=OWN,
    ),
    # Limits
    "limit_reached": Advice(
        "Wait for `Retry-After`, or ask your operators for a higher limit. `GET /v1/limits` shows how each one stands.",
        means="A limit of the tenant, or of this key alone, has no room for the request. `limit` says which one it is, "
        "whose, what is used and left, and when it resets.",
        facts=REACHED.facts,
    ),
    "budget_reached": Advice(
        "Wait for the month to end, or for running generations to release what they hold; or ask for a higher limit.",
        means="The month's budget has no room for the price of this generation. What is running counts with its price "
        "until it ends.",
        facts=SPENT.facts,
    ),
    # Generations
    "generation_not_found": Advice(
        "Check the id, and that the key is of the tenant that made it. Test keys see generations of test keys alone.",
        means="There is no such generation, or it is another tenant's: the answer is the same.",
    ),
    "idempotency_key_reused": Advice(
        "Use a new key for a new request. To repeat the old one, send exactly what was sent then.",
    ),
    "inputs_gone": Advice("Send a new create with the pictures in it.", entrances=OWN),
    "video_not_ready": Advice(
        "Ask again after `Retry-After`, or wait with `Prefer: wait=30` on the generation.",
        facts={"status": "running", "retry_after": 8},
        entrances=OWN,
    ),
    "no_video": Advice(
        "Asking again does not help. `error` of the generation says why.",
        means="The generation is over without a video: it failed, or was cancelled.",
        facts={"reason": "it was cancelled."},
        entrances=OWN,
    ),
    "video_deleted": Advice(
        "It can not be brought back. A rerun with the same seed asks for the like of it, where the pictures are there.",
        facts={"at": "2026-11-02T09:30:00.000000Z"},
        entrances=OWN,
    ),
    # Webhooks
    "webhook_endpoint_not_found": Advice(
        "Check the id, and that the key is of the tenant that made it. Test keys see endpoints of test keys alone.",
        means="There is no such endpoint, it was deleted, or it is another tenant's: the answer is the same.",
        entrances=OWN,
    ),
    "webhook_delivery_not_found": Advice(
        "Check the id, and that the key is of the tenant whose delivery it is.",
        means="There is no such delivery, or it is another tenant's: the answer is the same.",
        entrances=OWN,
    ),
    # Pictures
    "image_invalid": Advice(PICTURE, means="The common kind of all `image_…` codes; each answer has a narrower one."),
    "image_not_url_or_base64": Advice("Send an https URL, a data URI, or plain Base64 without anything around it."),
    "image_too_many_bytes": Advice(PICTURE + BEHIND, facts={"limit": 31457280}, message="{}"),
    "image_format_unknown": Advice(PICTURE + BEHIND, message="{}"),
    "image_incomplete": Advice("Send the whole file." + BEHIND, facts={"format": "jpeg"}, message="{}"),
    "image_side_too_long": Advice(PICTURE + BEHIND, facts={"side": 8000, "limit": 6000}, message="{}"),
    "image_side_too_short": Advice(PICTURE + BEHIND, facts={"side": 240, "limit": 300}, message="{}"),
    "image_aspect_out_of_range": Advice(
        PICTURE + BEHIND, facts={"aspect": "3.0000", "least": 0.4, "most": 2.5}, message="{}"
    ),
    "image_url_refused": Advice(
        "Give an https URL of a public host, or send the picture itself." + BEHIND,
        facts={"reason": "its host is not a public name"},
        message="{}",
    ),
    "image_unreachable": Advice(
        "Check that the URL answers from outside with the picture itself, then send a new create; or send the picture.",
        means="A picture that was given as a URL could not be read, on four tries over about 15 seconds.",
        facts={"reason": "the host does not answer"},
        entrances=NONE,
        message="{}",
    ),
    # Requests
    "invalid_request": Advice(
        "Mend every field that `errors` names; they are told at once. An entry with an empty `field` is about the "
        "request as a whole.",
        means="A field or a parameter holds what it may not. Each entry of `errors` has the path of a `field` (such as "
        "`metadata.order`), a `detail` to read and a `code` of its own.",
    ),
    "parse_error": Advice(
        "Send one whole JSON object, or a whole form, with the Content-Length that it has.",
        means="The body can not be read: it is no JSON object, gives a name twice, or ended too early.",
    ),
    "unsupported_media_type": Advice(
        "Send `Content-Type: application/json`, in UTF-8 and without a Content-Encoding. Pictures may come to "
        "`/v1/generations` as files of a `multipart/form-data`.",
        means="The body is in a type, a charset or an encoding that is not read here.",
    ),
    "not_acceptable": Advice(
        "Accept `application/json`, or leave the `Accept` header out.",
        means="The `Accept` header names nothing that this address can answer with.",
    ),
    "method_not_allowed": Advice("Use a method that `Allow` names.", means="The address does not take this method."),
    "not_found": Advice(
        "Check the path: there is no slash at its end. `/docs` lists every address.",
        means="No address of the service has this path.",
    ),
    "bad_request": Advice(
        "Check the `Host` header, and how many parameters are sent.",
        means="The request is malformed in a way that no view sees: a host that is not the service's, for example.",
    ),
    "body_too_large": Advice(
        "Send less. A picture has at most 30 MB, as a file of a form or as a URL it needs no Base64.",
        means="The body has more bytes than the address takes: 81 MiB where pictures are sent, 1 MiB elsewhere.",
    ),
    "length_required": Advice(
        "Send a `Content-Length`; most HTTP clients do so for a body that is whole.",
        means="The body came in chunks, without a length.",
    ),
    # Our side
    "too_many_large_bodies": Advice(
        "Send the request again after `Retry-After`, or give pictures as URLs.",
        means="As many bodies of over 4 MiB as there is memory for are being read just now. Nothing was recorded.",
    ),
    "database_unavailable": Advice(AGAIN, means="The database did not answer, or not in time."),
    "storage_unavailable": Advice(
        AGAIN,
        means="The bucket did not answer, and nothing was created. As the `error.code` of a generation: its picture "
        "could not be kept or read back for as long as a job may wait.",
        message="The service could not read its picture for too long: the bucket does not answer.",
    ),
    "internal_error": Advice(
        "Send the request again, with the same `Idempotency-Key`. If it fails again, tell your operators the "
        "`request_id`: the log has the reason under it.",
        means="The service failed at something that nobody expected. As the `error.code` of a generation: it failed so "
        "on every try.",
        message="The service could not submit it; its operators can see why.",
    ),
    # Why a generation failed
    "upstream_failed": Advice(
        "Read the message: it is the upstream's. Change the prompt or the picture, or try another seed. " + RESEND,
        means="The upstream took the task, and could not make the video.",
        message="The upstream could not make the video: the task failed.",
    ),
    "upstream_refused": Advice(
        "Read the message: it has the upstream's own reason, often about the prompt or the picture. " + RESEND,
        means="The upstream looked at the task and did not take it. Nothing was spent.",
        message="The upstream refused it: ILLEGAL_PROMPT. The prompt is not allowed.",
    ),
    "upstream_unavailable": Advice(
        RESEND + " It is worth waiting until the upstream is back.",
        means="The upstream could not be reached, or took nothing, for as long as the job was to wait for it.",
        message="The upstream could not be reached, or took nothing, for too long: submits are paused",
    ),
    "upstream_gave_no_result": Advice(
        RESEND,
        means="The upstream took the task and had no result within a day.",
        message="The upstream gave no result within a day.",
    ),
    "submit_unconfirmed": Advice(
        RESEND + " The first one may have been made all the same, and is never delivered.",
        means="The answer to the submit was lost, and nobody could find out whether the upstream took it. It was not "
        "sent again, since that might have paid twice.",
        message="Nobody could find out whether the upstream took it.",
    ),
    "not_submitted": Advice(
        RESEND,
        means="The answer to the submit was lost, and operators found that the upstream never took it.",
        message="The upstream never took it, and nothing was paid. It can be asked for again.",
    ),
    "ended_by_operators": Advice(
        RESEND + " Ask your operators what was wrong with it.",
        means="The service's operators ended it by hand. It was not charged.",
        message="The service's operators ended it. It was not charged, and can be asked for again.",
    ),
    "copy_failed": Advice(
        RESEND + " Your operators can see in the log why.",
        means="The upstream made the video, and for a day it could not be copied to the bucket whole and verified.",
        message="The video could not be stored within a day: FetchFailed: the exchange did not come to its end.",
    ),
}
