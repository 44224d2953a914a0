"""The refusals of this app. An error is a class with a code; the caller reads the class's docstring."""

import inspect
from typing import Any, ClassVar


class Refusal(Exception):
    """The request was refused."""

    code: ClassVar[str]

    def __init__(self, **facts: Any) -> None:
        sentence = " ".join((inspect.getdoc(type(self)) or "").split())
        super().__init__(sentence.format(**facts))
        self.facts = facts


class InvalidKey(Refusal):
    """The API key is missing, malformed, unknown, expired or revoked."""

    code = "invalid_api_key"


class AddressNotAllowed(Refusal):
    """This API key may not be used from the address that the service saw: {address}."""

    code = "address_not_allowed"


class ScopeMissing(Refusal):
    """This API key may not do that: it lacks the scope {scope}."""

    code = "scope_missing"


class TooManyFailures(Refusal):
    """Too many requests with a wrong API key came from this address. Try again later."""

    code = "too_many_failed_authentications"


class TooManyBodies(Refusal):
    """Too many bodies are being received at this moment. Try again later."""

    code = "too_many_bodies"


class BodyTooSlow(Refusal):
    """The body came too slowly, and is not received any further. Nothing of it was used."""

    code = "body_too_slow"


class ModelNotAllowed(Refusal):
    """This API key may not use the model {model}. It may use: {allowed}."""

    code = "model_not_allowed"


class TenantSuspended(Refusal):
    """This tenant is suspended: running generations finish, new ones are refused."""

    code = "tenant_suspended"


class NoSandbox(Refusal):
    """Test keys need a sandbox, and none is set here: SANDBOX_BASE_URL is empty."""

    code = "no_sandbox"


class LimitReached(Refusal):
    """The limit {limit_name} of {holder} is reached: {used} of {limit} used, {remaining} remaining,
    {required} required. {remedy}"""

    code = "limit_reached"


class BudgetReached(LimitReached):
    """The limit {limit_name} of {holder} is reached: {used} of {limit} USD used or held, {remaining} remaining,
    {required} required. {remedy}"""

    code = "budget_reached"


class ChangedConcurrently(Refusal):
    """Limits, the key or an image were changed again and again while the request was admitted; nothing was created.
    Try again."""

    code = "changed_concurrently"


class NotPossible(Refusal):
    """{reason}"""

    code = "not_possible"


class DoneBefore(Exception):
    """The panel's form was sent before, and has acted."""
