"""What callers may send. Types are strict: a number in quotes or `true` for 1 is a caller's mistake."""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from generations import catalog
from generations.intake import Wanted

MOST_NAMED, MOST_OF_A_NAME = 20, 50  # unknown fields, and characters of each: a refusal is no echo
MODEL = catalog.SEEDANCE_V1_LITE_I2V
IMAGE = "URL (https), Base64 or data URI of a jpeg, png, webp, bmp, tiff or gif of at most 30 MB (31,457,280 bytes). "
IMAGE += "Its shorter side is over 300 pixels, its longer side under 6000, its aspect ratio from 0.4 to 2.5."


class Text(serializers.CharField):
    """A JSON string, and nothing that merely can be written as one."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("A string is wanted.", code="invalid")
        if self.max_length is not None and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)  # at once: the validators look at each character
        return str(super().to_internal_value(data))


class ImageText(serializers.Field[Any, Any, Any, Any]):
    """As Text, without CharField's checks of each character: 40 MB of them take seconds."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str) or not data.strip():
            raise serializers.ValidationError("A URL or Base64 in a string is wanted.", code="invalid")
        return data.strip()

    def to_representation(self, value: Any) -> Any:
        return value


class Whole(serializers.IntegerField):
    """A JSON integer: 5, not 5.0, "5" or true."""

    def to_internal_value(self, data: Any) -> int:
        if type(data) is not int:
            raise serializers.ValidationError("A whole number is wanted.", code="invalid")
        return int(super().to_internal_value(data))


class Flag(serializers.BooleanField):
    """JSON's true or false."""

    def to_internal_value(self, data: Any) -> bool:
        if type(data) is not bool:
            raise serializers.ValidationError("true or false is wanted.", code="invalid")
        return data


class OneOf(serializers.ChoiceField):
    """One of a few values, compared with its type: "5" is not 5."""

    def to_internal_value(self, data: Any) -> Any:
        if type(data) not in {type(choice) for choice in self.choices} or data not in self.choices:
            allowed = ", ".join(str(choice) for choice in self.choices)
            raise serializers.ValidationError(f"One of {allowed} is wanted.", code="invalid_choice")
        return data


class NovitaCreate(serializers.Serializer[Any]):
    """The body of Novita's endpoint; a field that it does not know is ignored, as Novita does. null means not given."""

    image = ImageText(help_text=IMAGE)
    prompt = Text(
        default="",
        allow_null=True,
        allow_blank=True,
        trim_whitespace=False,
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
        min_value=catalog.RANDOM_SEED,
        max_value=catalog.SEED_MAX,
        help_text="-1, or no seed, and one is drawn and told.",
    )
    duration = OneOf(MODEL.durations, default=5, allow_null=True, help_text="Seconds.")

    def wanted(self) -> Wanted:
        """The checked body, with what was null as it would be had it not been given."""
        given: dict[str, Any] = {
            name: self.fields[name].default if value is None else value for name, value in self.validated_data.items()
        }
        model = catalog.MODELS[given.pop("model", MODEL.name)]
        return Wanted(model=model, **given)


class NativeCreate(NovitaCreate):
    """The body of POST /v1/generations: the same fields, and a misspelt one is an error, not a surprise on the bill."""

    model = OneOf(tuple(catalog.MODELS), default=MODEL.name, allow_null=True)

    def to_internal_value(self, data: Any) -> Any:
        unknown = set(data) - set(self.fields) if isinstance(data, Mapping) else set()
        if unknown:
            named = sorted(unknown)[:MOST_NAMED]
            raise serializers.ValidationError({name[:MOST_OF_A_NAME]: ["This field is not known."] for name in named})
        return super().to_internal_value(data)
