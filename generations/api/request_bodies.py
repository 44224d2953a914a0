"""The bodies of a create, for each API, and of a rerun.

What all creates have in common is checked here. A model's own fields are checked by its row in the catalogue.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, cast

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from generations.api.fields import (
    MAX_REFUSED_NAME_CHARS,
    MAX_REFUSED_NAMES,
    METADATA_HELP,
    Metadata,
    SingleLine,
    Url,
)
from generations.catalog import request_check, states, video_models
from generations.catalog.request_check import BadRequest
from generations.catalog.video_models import VideoModel
from generations.errors import ModelUnknown
from generations.intake.generation_request import GenerationRequest, Webhook, fields_of
from generations.models import Generation

MAX_URL_CHARS = 2000
WEBHOOK_URL = Url(max_length=MAX_URL_CHARS, allow_blank=True, allow_null=True)


@extend_schema_field({"$ref": "#/components/schemas/VideoModel"})
class ModelName(serializers.Field[Any, Any, Any, Any]):
    """The id of a model in the catalogue."""

    def to_internal_value(self, data: Any) -> VideoModel:
        model = video_models.get(data) if isinstance(data, str) else None
        if model is None:
            names = ", ".join(model.id for model in video_models.models().values() if states.of(model).is_listed)
            raise serializers.ValidationError(f"This must be one of {names}.", code="invalid_choice")
        return model

    def to_representation(self, value: Any) -> Any:
        return value.id


class Create(serializers.Serializer[Any]):
    """A create: the fields that are declared here, and those of its model. A field that is null counts as not given."""

    def to_request(self) -> GenerationRequest:
        """Return the checked body as a request."""
        values = dict(self.validated_data)
        model, fields = values.pop("model"), values.pop("fields")
        return GenerationRequest(model, fields, webhook=self.pop_webhook(values), **values)

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        """Return the declared fields, `model`, and `fields` with the values of the model's. Raise ValidationError."""
        if not isinstance(data, Mapping):
            return dict(super().to_internal_value(data))
        own, errors = dict[str, Any](), dict[str, Any]()
        try:
            own = {name: self.filled(name, value) for name, value in super().to_internal_value(data).items()}
        except serializers.ValidationError as error:
            errors = cast(dict[str, Any], error.detail)
        if "model" not in errors:
            own["model"] = model = self.find_model(data)
            try:
                own["fields"] = self.check_fields(model, data)
            except BadRequest as error:
                errors |= _details(error)
        if errors:
            raise serializers.ValidationError(errors)
        return own

    def filled(self, name: str, value: Any) -> Any:
        """Return the value of a declared field: its default in the place of null."""
        return self.fields[name].get_default() if value is None and not self.fields[name].required else value

    def find_model(self, data: Mapping[str, Any]) -> VideoModel:
        """Return the model of a body in which `model` is right, or not given."""
        raise NotImplementedError

    def check_fields(self, model: VideoModel, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of the model's fields. Raise BadRequest."""
        raise NotImplementedError

    def pop_webhook(self, values: dict[str, Any]) -> Webhook | None:
        """Take the webhook out of `values` and return it, or None if there is none."""
        raise NotImplementedError


def _details(error: BadRequest) -> dict[str, Any]:
    """Return the errors of a model's fields as REST framework has them, by the names that the caller wrote."""
    details: dict[str, Any] = {}
    for name, wrong in list(error.errors.items())[:MAX_REFUSED_NAMES]:
        details[name[:MAX_REFUSED_NAME_CHARS]] = [serializers.ErrorDetail(wrong.message, wrong.code)]
    return details


# Not `oneOf`: as `extra` may be any value, null fits the schema of the object too.
@extend_schema_field({"anyOf": [{"$ref": "#/components/schemas/NovitaCreateExtra"}]})
class Extra(serializers.JSONField):
    """Novita's `extra`: any value. Only the URL of its webhook is read."""

    def to_internal_value(self, data: Any) -> Any:
        webhook = data.get("webhook") if isinstance(data, dict) else None
        if webhook is None:
            return ""
        if not isinstance(webhook, dict) or "url" not in webhook:
            raise serializers.ValidationError("webhook: This must be an object with a url.", code="invalid")
        return WEBHOOK_URL.run_validation(webhook["url"]) or ""


class NovitaCreate(Create):
    """The body of Novita's create. An unknown field is ignored, as Novita does; null counts as not given."""

    model_id: ClassVar[str]  # of the class that stands for one model's body in the OpenAPI document

    extra = Extra(
        default=dict, allow_null=True, help_text="`webhook.url` is notified of the end, with Novita's payload."
    )

    def find_model(self, data: Mapping[str, Any]) -> VideoModel:
        model: VideoModel = self.context["model"]
        return model

    def check_fields(self, model: VideoModel, data: Mapping[str, Any]) -> dict[str, Any]:
        return request_check.check_wire(model, data)

    def pop_webhook(self, values: dict[str, Any]) -> Webhook | None:
        url = values.pop("extra")
        return Webhook(url, Generation.WebhookFormat.NOVITA) if url else None


@extend_schema_serializer(component_name="GenerationCreate")
class NativeCreate(Create):
    """The body of POST /v1/generations: the model's fields, and names by which the caller finds the generation.

    A field that the model has not is an error: a misspelt field would otherwise be a surprise on the bill.
    """

    model = ModelName(default=None, allow_null=True)
    external_id = SingleLine(
        default="",
        allow_null=True,
        allow_blank=True,
        max_length=255,
        help_text="A name of the caller's own. It need not be unique.",
    )
    metadata = Metadata(default=dict, allow_null=True, help_text=METADATA_HELP)
    webhook_url = Url(
        default="",
        allow_null=True,
        allow_blank=True,
        max_length=MAX_URL_CHARS,
        help_text="A URL that is notified, with a signature, when the generation ends.",
    )

    def find_model(self, data: Mapping[str, Any]) -> VideoModel:
        return video_models.get(data.get("model") or "") or video_models.default()

    def check_fields(self, model: VideoModel, data: Mapping[str, Any]) -> dict[str, Any]:
        return request_check.check(model, {name: value for name, value in data.items() if name not in self.fields})

    def pop_webhook(self, values: dict[str, Any]) -> Webhook | None:
        url = values.pop("webhook_url")
        return Webhook(url, Generation.WebhookFormat.STANDARD) if url else None


@extend_schema_serializer(component_name="GenerationRerun")
class Rerun(NativeCreate):
    """The body of a rerun. A field that is not given keeps the source's value, the seed and the images included.

    External id, metadata and webhook are not the source's: without them in the body there are none.
    """

    def find_model(self, data: Mapping[str, Any]) -> VideoModel:
        model = video_models.get(data.get("model") or self.earlier.model)
        if model is None:
            raise ModelUnknown(model=self.earlier.model)
        return model

    def check_fields(self, model: VideoModel, data: Mapping[str, Any]) -> dict[str, Any]:
        given = {name: value for name, value in fields_of(self.earlier).items() if name in model.fields}
        return super().check_fields(model, given | {name: data[name] for name in data if data[name] is not None})

    @property
    def earlier(self) -> Generation:
        """The generation that is run again."""
        source: Generation = self.context["source"]
        return source

    def to_request(self) -> GenerationRequest:
        return replace(super().to_request(), rerun_of=self.earlier.pk)
