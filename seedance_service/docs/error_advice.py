"""State for each error code what a caller should do, and what no class and no table says about the code."""

from datetime import UTC, datetime

from generations.ops import cancellation
from seedance_service.docs.advice import Advice
from seedance_service.docs.failure_advice import FAILURES
from seedance_service.docs.image_advice import IMAGES, MODEL
from tenants.limits.admission import refusal
from tenants.limits.windows import Kind, LimitUsage

NATIVE, NONE = ("/v1/",), ()
DAY, MONTH = datetime(2026, 11, 2, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
NEXT_DAY, NEXT_MONTH = datetime(2026, 11, 3, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
REACHED = refusal(LimitUsage(Kind.PER_DAY, False, 200, 200, DAY, NEXT_DAY), 1)
SPENT = refusal(LimitUsage(Kind.USD_PER_MONTH, True, 100_000_000, 99_970_000, MONTH, NEXT_MONTH), 88_209)

RETRY = "Send the request again after `Retry-After`, with the same `Idempotency-Key`. If the first request was "
RETRY += "recorded after all, no second generation is created."

ADVICE: dict[str, Advice] = {
    # Keys and tenants
    "invalid_api_key": Advice(
        "Check that the whole key is sent, as `Authorization: Bearer KEY`. If so, ask your operators for a new key. "
        "They see which keys are expired or revoked; the answer deliberately does not say.",
    ),
    "address_not_allowed": Advice(
        "Send the request from a network that the key may be used from, or ask your operators to add yours. If the "
        "address is not yours, tell them so: `PROXY_HOPS` may be wrong.",
        facts={"address": "203.0.113.7"},
    ),
    "scope_missing": Advice(
        "Use a key that has the scope, or ask your operators for such a key.", facts={"scope": "usage:read"}
    ),
    "too_many_failed_authentications": Advice(
        "Correct the key: a right key is always let in. With a wrong one, wait for `Retry-After`.",
        facts={"retry_after": 41},
    ),
    "model_not_allowed": Advice(
        "Send a model that the message names, or ask your operators to allow this one.",
        facts={"model": "seedance-v1-pro-i2v", "allowed": "seedance-v1-lite-i2v"},
    ),
    "tenant_suspended": Advice("Ask your operators. Reading still works."),
    "model_not_found": Advice(
        "Check the id: `GET /v1/models` lists the models that your key may use.",
        means="The catalogue of this service has no model of that id.",
        apis=NATIVE,
    ),
    "model_unknown": Advice(
        "Create a new generation with another model: `GET /v1/models` lists those that your key may use.",
        means="The generation was made by a model that the catalogue of this service no longer has. It cannot be run "
        "again.",
        facts={"model": MODEL},
        apis=NATIVE,
        message=f"The catalogue of this service no longer has the model {MODEL}.",
    ),
    "model_retired": Advice(
        "Create with the model that `replacement` names, after a look at its page: fields, price and sound may differ. "
        "It is null if no model takes the place of this one. Generations that exist stay as they are.",
        means="The model has reached its last day, or the service's operators retired it: nothing new is created with "
        "it, and nothing was held. A generation that was still queued on that day fails with this code, and its hold "
        "is released.",
        facts={
            "model": "wan2.6-i2v",
            "since": " since 2026-09-30",
            "replacement": "kling-v3.0-pro-i2v",
            "remedy": "Use kling-v3.0-pro-i2v in its place: its fields, price and videos may differ.",
        },
        message="The model wan2.6-i2v is retired since 2026-09-30. "
        "Use kling-v3.0-pro-i2v in its place: its fields, price and videos may differ.",
    ),
    "model_not_offered": Advice(
        "Ask your operators to set up an account that offers the model, or use one that `GET /v1/models` lists.",
        facts={"model": MODEL},
    ),
    "price_unknown": Advice(
        "Ask your operators to set a price for the model, or use another one. The `prices` of `GET /v1/models/ID` are "
        "those that are known.",
        facts={"model": MODEL},
    ),
    "no_sandbox": Advice("Ask your operators to set a sandbox, or use a live key."),
    "not_possible": Advice(
        "Read the generation and go by its status. The same request is refused until the status changes.",
        means="The generation's status does not allow the action: for example, a generation that the upstream has "
        "begun cannot be cancelled. `detail` has the reason.",
        facts={"reason": cancellation.BEGUN},
        apis=NATIVE,
    ),
    # Limits
    "limit_reached": Advice(
        "Wait for `Retry-After`, or ask your operators for a higher limit. `GET /v1/limits` shows the usage of each "
        "limit.",
        means="A limit of the tenant or of this key has no capacity left for the request. `limit` names the limit, its "
        "holder, what is used and remaining, and when it resets.",
        facts=REACHED.facts,
    ),
    "budget_reached": Advice(
        "Wait for the month to end, or for running generations to release their holds. Or ask for a higher limit.",
        means="The rest of the month's budget is below the price of this generation. A running generation counts with "
        "its price until it finishes.",
        facts=SPENT.facts,
    ),
    # Generations
    "generation_not_found": Advice(
        "Check the id, and that the key belongs to the tenant of the generation. Test keys see only generations of "
        "test keys.",
        means="There is no such generation, or it belongs to another tenant. The answer is the same.",
    ),
    "idempotency_key_reused": Advice(
        "Use a new key for a new request. To repeat the old request, send exactly the same body.",
    ),
    "inputs_gone": Advice("Send a new create that has the images.", apis=NATIVE),
    "video_not_ready": Advice(
        "Ask again after `Retry-After`, or read the generation with `Prefer: wait=30`.",
        facts={"status": "running", "retry_after": 8},
        apis=NATIVE,
    ),
    "no_video": Advice(
        "Do not ask again. `error` of the generation has the reason.",
        means="The generation finished without a video: it failed or was cancelled.",
        facts={"reason": "it was cancelled."},
        apis=NATIVE,
    ),
    "video_deleted": Advice(
        "The video cannot be restored. A rerun with the same seed makes a similar one, if the input images still "
        "exist.",
        facts={"at": "2026-11-02T09:30:00.000000Z"},
        apis=NATIVE,
    ),
    # Webhooks
    "webhook_endpoint_not_found": Advice(
        "Check the id, and that the key belongs to the tenant of the endpoint. Test keys see only endpoints of test "
        "keys.",
        means="There is no such endpoint, it was deleted, or it belongs to another tenant. The answer is the same.",
        apis=NATIVE,
    ),
    "webhook_delivery_not_found": Advice(
        "Check the id, and that the key belongs to the tenant of the delivery.",
        means="There is no such delivery, or it belongs to another tenant. The answer is the same.",
        apis=NATIVE,
    ),
    **IMAGES,
    # Requests
    "invalid_request": Advice(
        "Correct every field that `errors` names. The list is complete, but for the image: it is checked when all "
        "other fields are right. An entry with an empty `field` is about the whole request.",
        means="A field or a parameter has a value that is not allowed. Each entry of `errors` has the path of a "
        "`field` (such as `metadata.order`), a `detail` to read and a `code` of its own.",
    ),
    "parse_error": Advice(
        "Send one complete JSON object or form, with its correct Content-Length. In a form each part has a name.",
        means="The body cannot be read: it is not a JSON object, has a name twice, ended too early, or is a form with "
        "something outside of its named parts. Nothing of it was used.",
    ),
    "unsupported_media_type": Advice(
        "Send `Content-Type: application/json`, in UTF-8 and without a Content-Encoding. `/v1/generations` "
        "also takes images as files in `multipart/form-data`.",
        means="The address does not read this content type, charset or content encoding.",
    ),
    "not_acceptable": Advice(
        "Accept `application/json`, or leave the `Accept` header out.",
        means="The `Accept` header names no type that this address can answer with.",
    ),
    "method_not_allowed": Advice("Use a method that `Allow` names.", means="The address does not support this method."),
    "not_found": Advice(
        "Check the path. `/docs` lists every address.",
        means="No address of the service has this path.",
    ),
    "bad_request": Advice(
        "Check the `Host` header, and how many parameters are sent.",
        means="The request is malformed before a view sees it: for example, its host is not one of the service.",
    ),
    "body_too_large": Advice(
        "Send a smaller body. An image has at most 30 MB; as a file of a form or as a URL it needs no Base64.",
        means="The body has more bytes than the address takes: 81 MiB where images are sent, 1 MiB elsewhere.",
    ),
    "length_required": Advice(
        "Send a `Content-Length`. Most HTTP clients do so for a body of known length.",
        means="The body came in chunks, without a length.",
    ),
    # Our side
    "too_many_bodies": Advice(
        "Send the request again after `Retry-After`, the whole body at once.",
        means="So many slow bodies are being received, of your tenant's requests or of all, that the service takes no "
        "other until one of them has arrived. Nothing was recorded.",
        facts={"retry_after": 5},
    ),
    "body_too_slow": Advice(
        "Send the request again over a faster connection, or give images as URLs.",
        means="The body came at less than 64 KiB a second for over 15 seconds, or nothing came for 90 seconds. The "
        "connection is closed, and nothing was recorded.",
        facts={"retry_after": 5},
    ),
    "too_many_large_bodies": Advice(
        "Send the request again after `Retry-After`, or give images as URLs.",
        means="The service is reading as many bodies over 4 MiB as its memory allows. Nothing was recorded.",
    ),
    "changed_concurrently": Advice(RETRY, facts={"retry_after": 1}),
    "database_unavailable": Advice(RETRY, means="The database did not answer, or not in time."),
    "storage_unavailable": Advice(
        RETRY,
        means="The bucket did not answer, and nothing was created. As the `error.code` of a generation: its image "
        "could not be stored or read back within the submit deadline.",
        message="The service could not read the input image for too long: the bucket does not answer.",
    ),
    "internal_error": Advice(
        "Send the request again, with the same `Idempotency-Key`. If that fails too, give your operators the "
        "`request_id`: the log has the reason.",
        means="The service failed unexpectedly. As the `error.code` of a generation: the service failed at every try.",
        message="The service could not submit the generation; its operators can see why.",
    ),
    **FAILURES,
}
