"""Errors of Ark's wire: their envelope, and those that a prompt asks for."""

import secrets
import time

from django.http import HttpResponse, JsonResponse

from deploy.sandbox import scripts

TYPES = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    429: "TooManyRequests",
}
# The messages of QuotaExceeded: too many queued tasks, a free trial that is used up, or a plan's quota.
QUOTA_MESSAGES = {
    "queue": "The number of queued tasks of your account has reached its limit. Please retry later.",
    "trial": "Your account has exhausted its free trial quota for the model. Please activate the model.",
    "plan": "You have exceeded the 5-hour usage quota. It will reset at 2099-01-01 00:00:00 +0800 CST.",
}
RATE_MESSAGES = {
    "SetLimitExceeded": "Your account has reached the set inference limit, and the model service has been paused.",
    "ServerOverloaded": "The service is currently unable to handle additional requests. Please retry later.",
}


class ArkError(Exception):
    """The sandbox refuses a request; the attributes are those of the error envelope."""

    def __init__(self, status: int, code: str, message: str, param: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.param = status, code, param

    def render(self, request_id: str) -> JsonResponse:
        """Return the error envelope. The code is in a header too, and the request id ends the message."""
        body = {
            "code": self.code,
            "message": f"{self} Request id: {request_id}",
            "param": self.param,
            "type": TYPES.get(self.status, "InternalServerError"),
        }
        return JsonResponse({"error": body}, status=self.status, headers={"x-error-code": self.code})


def new_request_id() -> str:
    """Return an id as the upstream's: 02, the milliseconds, and hexadecimal digits."""
    return f"02{int(time.time() * 1000)}{secrets.token_hex(19)}"


def internal() -> ArkError:
    """Return the error of a service that broke."""
    return ArkError(500, "InternalServiceError", "The service encountered an unexpected internal error.")


def raise_scripted(prompt: str) -> None:
    """Raise the refusal that the prompt asks for; no task is created then."""
    if limited := scripts.REFUSED_RATE.search(prompt):
        code, kind = limited[1], limited[2] or "queue"
        quota = QUOTA_MESSAGES.get(kind, QUOTA_MESSAGES["queue"])
        known = quota if code == "QuotaExceeded" else RATE_MESSAGES.get(code)
        raise ArkError(429, code, known or "The requests exceed a limit. Please try again later.")
    for word, error in {
        "500": internal(),
        "overdue": ArkError(403, "AccountOverdueError", "The account has an overdue balance."),
        "closed": ArkError(400, "InvalidEndpoint.ClosedEndpoint", "The endpoint or model is closed."),
        "not open": ArkError(404, "ModelNotOpen", "Your account has not activated the model."),
        "refuse": ArkError(
            400, "InputTextSensitiveContentDetected", "The input text may contain sensitive information.", "content"
        ),
    }.items():
        if scripts.has(prompt, word):
            raise error


def bad_gateway() -> HttpResponse:
    """Return the answer of a proxy, without the envelope and without a request id."""
    return HttpResponse("<h1>502 Bad Gateway</h1>", status=502)
