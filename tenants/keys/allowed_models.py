"""The check of a create's model against the lists of the key and its tenant. Both lists apply; an empty list is all."""

from tenants import name_lists
from tenants.errors import ModelNotAllowed
from tenants.limits import admission
from tenants.models import ApiKey

MAX_NAMED_MODELS = 20  # in the message of a refusal


def is_model_allowed(key: ApiKey, model: str) -> bool:
    """Return whether the lists of the key and of its tenant both allow the model of that id."""
    return all(not allowed or model in allowed for allowed in (key.tenant.allowed_models, key.allowed_models))


def check_model(key: ApiKey, model: str) -> None:
    """Raise ModelNotAllowed if the key may not use the model.

    The key was read some time ago. It refuses nothing that the key as it is now allows.
    """
    if not is_model_allowed(key, model):
        now = admission.read_key(key)
        if not is_model_allowed(now, model):
            raise ModelNotAllowed(model=model, allowed=name_lists.describe(_allowed_models(now), MAX_NAMED_MODELS))


def _allowed_models(key: ApiKey) -> list[str]:
    """Return the ids that both lists allow, at least one of which is not empty."""
    listed = key.allowed_models or key.tenant.allowed_models
    return [model for model in listed if is_model_allowed(key, model)] or ["no model"]
