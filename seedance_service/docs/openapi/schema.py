"""The parts of views and fields that drf-spectacular can not see. postprocess.py adds what all operations share."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_doc

from generations.api.fields import Strict
from generations.api.request_bodies import NativeCreate, NovitaCreate, Rerun
from generations.api.response_schemas import GenerationRow
from generations.catalog import video_models
from seedance_service.docs.openapi import model_fields
from seedance_service.docs.openapi.wire_bodies import WireBody

TAGS = {
    "/v3/": "Novita",
    "/v1/generations": "Generations",
    "/v1/models": "Models",
    "/v1/usage": "Usage and limits",
    "/v1/limits": "Usage and limits",
    "/v1/webhook-": "Webhooks",
}


class OperationSchema(AutoSchema):
    """The description of one operation, from its method's docstring. A view's docstring is for readers of the code."""

    def get_description(self) -> str:  # type: ignore[override]
        return str(get_doc(getattr(self.view, self.method.lower(), None)))

    def get_tags(self) -> list[str]:
        return [tag for prefix, tag in TAGS.items() if self.path.startswith(prefix)]

    def get_serializer_name(self, serializer: Any, direction: Any) -> str:
        return super().get_serializer_name(serializer, direction).removesuffix("Schema").removesuffix("Row")

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> dict[str, Any]:
        """Return the schema without an inherited docstring, which would describe another body."""
        schema: dict[str, Any] = super()._map_serializer(serializer, direction, bypass_extensions)
        if isinstance(serializer, Strict | NativeCreate):
            schema["additionalProperties"] = False
        _add_model_fields(serializer, schema)
        return schema if type(serializer).__doc__ else {name: schema[name] for name in schema if name != "description"}

    def _insert_field_validators(self, field: Any, schema: dict[str, Any]) -> None:
        """Add the checks of the field itself, from generations/api/fields.py, to those of its validators."""
        super()._insert_field_validators(field, schema)
        schema.pop("x-spec-enum-id", None)  # a note from one part of drf-spectacular to another
        schema.update(getattr(field, "json_schema", {}))


def _add_model_fields(serializer: Any, schema: dict[str, Any]) -> None:
    """Add the fields of models to the schema of a create's body or of a generation."""
    own, required = schema["properties"], schema.get("required", [])
    match serializer:
        case NovitaCreate():
            body = WireBody(video_models.models()[serializer.model_id]).schema
            added, required = body["properties"], [*required, *body.get("required", [])]
        case Rerun():
            added = model_fields.rerun_properties()
        case NativeCreate():
            added, required = model_fields.create_properties(), [*required, *model_fields.required()]
        case GenerationRow():
            own, added = {}, {**own, **model_fields.answer_properties(own)}
        case _:
            return
    schema["properties"] = {**added, **{name: part for name, part in own.items() if name not in added}}
    if required:
        schema["required"] = sorted(required)


class KeyScheme(OpenApiAuthenticationExtension):
    """The API key, as a security scheme of the document."""

    target_class = "tenants.api.authentication.KeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        description = "An API key, as `Authorization: Bearer KEY`. The word `Bearer` may be left out."
        return {"type": "http", "scheme": "bearer", "description": description}
