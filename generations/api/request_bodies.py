"""The bodies of a create, on each entrance, and of a rerun."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from generations.api.fields import METADATA, Flag, ImageText, Metadata, Name, OneOf, Text, Url, Whole, refuse
from generations.catalog import video_models
from generations.intake.generation_request import IMAGE_FIELDS, PLAIN_FIELDS, GenerationRequest, Webhook, fields_of
from generations.models import Generation

LONGEST_URL = 2000  # characters
WEBHOOK_URL = Url(max_length=LONGEST_URL, allow_blank=True, allow_null=True)
OWN = ("external_id", "metadata", "webhook_url")  # of each generation, a rerun too
MODEL = video_models.SEEDANCE_V1_LITE_I2V
IMAGE = "URL (https), Base64 or data URI of a jpeg, png, webp, bmp, tiff or gif of at most 30 MB (31,457,280 bytes). "
IMAGE += "Its shorter side is over 300 pixels, its longer side under 6000, its aspect ratio from 0.4 to 2.5."


class Create(serializers.Serializer[Any]):
    """What every create takes. null means not given."""

    image = ImageText(help_text=IMAGE)
    prompt = Text(
        default="",
        allow_null=True,
        allow_blank=True,
        max_length=MODEL.prompt_limit,
        help_text="At most 2000 characters.",
    )
    resolution = OneOf(MODEL.resolutions)
    aspect_ratio = OneOf(MODEL.ratios, default="16:9", allow_null=True)
    last_image = ImageText(default=None, allow_null=True, help_text="End image; as `image`.")
    camera_fixed = Flag(default=False, allow_null=True)
    seed = Whole(
        default=None,
        allow_null=True,
        min_value=video_models.RANDOM_SEED,
        max_value=video_models.MAX_SEED,
        help_text="-1, or no seed, and one is drawn and told.",
    )
    duration = OneOf(MODEL.durations, default=5, allow_null=True, help_text="Seconds.")

    def wanted(self) -> GenerationRequest:
        """The checked body, with what was null as it would be had it not been given."""
        given: dict[str, Any] = {
            name: self.fields[name].get_default() if value is None else value
            for name, value in self.validated_data.items()
        }
        model = video_models.MODELS[given.pop("model", MODEL.name)]
        return GenerationRequest(model=model, webhook=self.webhook(given), **given)

    def webhook(self, given: dict[str, Any]) -> Webhook | None:
        """Takes out of `given` where to tell of the end."""
        raise NotImplementedError


@extend_schema_field(
    {
        "type": ["object", "array", "string", "number", "boolean"],
        "properties": {
            "webhook": {
                "type": ["object", "null"],
                "required": ["url"],
                "properties": {"url": {"type": ["string", "null"], "maxLength": LONGEST_URL, **WEBHOOK_URL.told}},
            }
        },
    }
)
class Extra(serializers.JSONField):
    """Anything; its webhook's URL is the one thing that is known."""

    def to_internal_value(self, data: Any) -> Any:
        webhook = data.get("webhook") if isinstance(data, dict) else None
        if webhook is None:
            return ""
        if not isinstance(webhook, dict) or "url" not in webhook:
            raise serializers.ValidationError("webhook: An object with a url is wanted.", code="invalid")
        return WEBHOOK_URL.run_validation(webhook["url"]) or ""


class NovitaCreate(Create):
    """The body of Novita's endpoint; a field that it does not know is ignored, as Novita does. null means not given."""

    extra = Extra(default=dict, allow_null=True, help_text="`webhook.url`: told of the end with Novita's payload.")

    def webhook(self, given: dict[str, Any]) -> Webhook | None:
        url = given.pop("extra")
        return Webhook(url, Generation.WebhookFormat.NOVITA) if url else None


class Strict(serializers.Serializer[Any]):
    """A misspelt field is an error, not a surprise on the bill."""

    def to_internal_value(self, data: Any) -> Any:
        unknown = set(data) - set(self.fields) if isinstance(data, Mapping) else set()
        refuse(dict.fromkeys(sorted(unknown), "This field is not known."))
        return super().to_internal_value(data)


@extend_schema_serializer(component_name="GenerationCreate")
class NativeCreate(Strict, Create):
    """The body of POST /v1/generations: the same fields, and what the caller wants to find it by."""

    model = OneOf(tuple(video_models.MODELS), default=MODEL.name, allow_null=True)
    external_id = Name(
        default="",
        allow_null=True,
        allow_blank=True,
        max_length=255,
        help_text="Your own name for it; need not be unique.",
    )
    metadata = Metadata(default=dict, allow_null=True, help_text=METADATA)
    webhook_url = Url(
        default="", allow_null=True, allow_blank=True, max_length=LONGEST_URL, help_text="Told when it ends, signed."
    )

    def webhook(self, given: dict[str, Any]) -> Webhook | None:
        url = given.pop("webhook_url")
        return Webhook(url, Generation.WebhookFormat.STANDARD) if url else None


@extend_schema_serializer(component_name="GenerationRerun")
class Rerun(NativeCreate):
    """The body of a rerun: what is not given is as it was, seed and pictures too."""

    def get_fields(self) -> dict[str, Any]:
        fields = super().get_fields()
        for name in (*PLAIN_FIELDS, *IMAGE_FIELDS):
            fields[name].required, fields[name].default, fields[name].allow_null = False, serializers.empty, True
        return fields

    def wanted(self) -> GenerationRequest:
        """As the source was wanted, but for what the body says. Its external id, metadata and webhook are its own."""
        source: Generation = self.context["source"]
        given = {name: value for name, value in self.validated_data.items() if value is not None}
        own = {name: self.fields[name].get_default() for name in OWN}
        wanted = {**fields_of(source), **own, **given}
        model = video_models.MODELS[wanted.pop("model")]
        return GenerationRequest(model=model, webhook=self.webhook(wanted), rerun_of=source.pk, **wanted)
