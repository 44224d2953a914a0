"""What drf-spectacular can not see of views and fields. document.py adds what every operation can answer."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc

from generations.api.request_bodies import Strict

TAGS = {
    "/v3/": "Novita",
    "/v1/generations": "Generations",
    "/v1/usage": "Use",
    "/v1/limits": "Use",
    "/v1/webhook-": "Webhooks",
}


class OperationSchema(AutoSchema):
    """An operation is described by its method's docstring: a view's own is for who reads the code."""

    def get_description(self) -> str:  # type: ignore[override]
        return str(get_doc(getattr(self.view, self.method.lower(), None)))

    def get_tags(self) -> list[str]:
        return [tag for prefix, tag in TAGS.items() if self.path.startswith(prefix)]

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        return super().get_serializer_name(serializer, direction).removesuffix("Shape").removesuffix("Row")

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> dict[str, Any]:
        """A docstring that a body's shape inherits is about something else."""
        shape: dict[str, Any] = super()._map_serializer(serializer, direction, bypass_extensions)
        if isinstance(serializer, Strict):
            shape["additionalProperties"] = False
        return shape if type(serializer).__doc__ else {name: shape[name] for name in shape if name != "description"}

    def _insert_field_validators(self, field: Any, schema: dict[str, Any]) -> None:
        """Beside what validators say, what the field itself does: generations/api/fields.py."""
        super()._insert_field_validators(field, schema)
        schema.pop("x-spec-enum-id", None)  # a note from one part of drf-spectacular to another
        schema.update(getattr(field, "told", {}))


class KeyScheme(OpenApiAuthenticationExtension):
    target_class = "tenants.api.authentication.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        said = "An API key, as `Authorization: Bearer KEY`. The word `Bearer` may be left out."
        return {"type": "http", "scheme": "bearer", "description": said}
