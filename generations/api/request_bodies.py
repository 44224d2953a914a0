"""The bodies of a create, for each API, and of a rerun."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from generations.api.fields import (
    METADATA_HELP,
    Choice,
    ImageText,
    JsonBoolean,
    JsonInteger,
    Metadata,
    SingleLine,
    Text,
    Url,
    refuse,
)
from generations.catalog import video_models
from generations.intake.generation_request import IMAGE_FIELDS, PLAIN_FIELDS, GenerationRequest, Webhook, fields_of
from generations.models import Generation

MAX_URL_CHARS = 2000
WEBHOOK_URL = Url(max_length=MAX_URL_CHARS, allow_blank=True, allow_null=True)
NOT_REPEATED = ("external_id", "metadata", "webhook_url")  # a rerun does not take these fields from its source
MODEL = video_models.SEEDANCE_V1_LITE_I2V
IMAGE = "URL (https), Base64 or data URI of a jpeg, png, webp, bmp, tiff or gif of at most 30 MB (31,457,280 bytes). "
IMAGE += "Its shorter side is over 300 pixels, its longer side under 6000, its aspect ratio from 0.4 to 2.5."


class Create(serializers.Serializer[Any]):
    """The fields that every create takes. A field that is null counts as not given."""

    image = ImageText(help_text=IMAGE)
    prompt = Text(
        default="",
        allow_null=True,
        allow_blank=True,
        max_length=MODEL.prompt_limit,
        help_text="At most 2000 characters.",
    )
    resolution = Choice(MODEL.resolutions)
    aspect_ratio = Choice(MODEL.ratios, default="16:9", allow_null=True)
    last_image = ImageText(default=None, allow_null=True, help_text="End image, with the same rules as `image`.")
    camera_fixed = JsonBoolean(default=False, allow_null=True)
    seed = JsonInteger(
        default=None,
        allow_null=True,
        min_value=video_models.RANDOM_SEED,
        max_value=video_models.MAX_SEED,
        help_text="Without a seed, or with -1, the service draws one and returns it.",
    )
    duration = Choice(MODEL.durations, default=5, allow_null=True, help_text="Seconds.")

    def to_request(self) -> GenerationRequest:
        """Return the checked body as a request. A null becomes the field's default."""
        values: dict[str, Any] = {
            name: self.fields[name].get_default() if value is None else value
            for name, value in self.validated_data.items()
        }
        model = video_models.MODELS[values.pop("model", MODEL.name)]
        return GenerationRequest(model=model, webhook=self.pop_webhook(values), **values)

    def pop_webhook(self, values: dict[str, Any]) -> Webhook | None:
        """Take the webhook out of `values` and return it, or None if there is none."""
        raise NotImplementedError


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

    extra = Extra(
        default=dict, allow_null=True, help_text="`webhook.url` is notified of the end, with Novita's payload."
    )

    def pop_webhook(self, values: dict[str, Any]) -> Webhook | None:
        url = values.pop("extra")
        return Webhook(url, Generation.WebhookFormat.NOVITA) if url else None


class Strict(serializers.Serializer[Any]):
    """A body in which an unknown field is an error: a misspelt field would otherwise be a surprise on the bill."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = set(data) - set(self.fields) if isinstance(data, Mapping) else set()
        refuse(dict.fromkeys(sorted(unknown), "This field is unknown."))
        return super().to_internal_value(data)


@extend_schema_serializer(component_name="GenerationCreate")
class NativeCreate(Strict, Create):
    """The body of POST /v1/generations: every create's fields, and names by which the caller finds the generation."""

    model = Choice(tuple(video_models.MODELS), default=MODEL.name, allow_null=True)
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

    def pop_webhook(self, values: dict[str, Any]) -> Webhook | None:
        url = values.pop("webhook_url")
        return Webhook(url, Generation.WebhookFormat.STANDARD) if url else None


@extend_schema_serializer(component_name="GenerationRerun")
class Rerun(NativeCreate):
    """The body of a rerun. A field that is not given keeps the source's value, the seed and the images included."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name in (*PLAIN_FIELDS, *IMAGE_FIELDS):
            fields[name].required, fields[name].default, fields[name].allow_null = False, serializers.empty, True
        fields["seed"].help_text = "Without a seed, the source's seed is used again; -1 draws another."
        return fields

    def to_request(self) -> GenerationRequest:
        """Return the source's request, with the body's fields in the place of the source's.

        External id, metadata and webhook are not the source's: without them in the body there are none.
        """
        source: Generation = self.context["source"]
        overrides = {name: value for name, value in self.validated_data.items() if value is not None}
        blank = {name: self.fields[name].get_default() for name in NOT_REPEATED}
        values = {**fields_of(source), **blank, **overrides}
        model = video_models.MODELS[values.pop("model")]
        return GenerationRequest(model=model, webhook=self.pop_webhook(values), rerun_of=source.pk, **values)
