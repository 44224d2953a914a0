"""The schemas of answers about models, for the OpenAPI document alone: `model_pages` writes the answers."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from generations.catalog import prices
from generations.models import ModelState

TASKS = ("i2v", "t2v", "both")
SETTLES = ("quoted", "usage")


@extend_schema_field({"$ref": "#/components/schemas/JsonSchema"})
class JsonSchema(serializers.JSONField):
    """A JSON Schema."""


@extend_schema_field({"$ref": "#/components/schemas/PriceCondition"})
class PriceCondition(serializers.JSONField):
    """Values of a request's fields, by name."""


class ImageRulesSchema(serializers.Serializer[Any]):
    """The rules for images. null: there is no such rule. A ratio is width / height."""

    formats = serializers.ListField(child=serializers.CharField())
    max_bytes = serializers.IntegerField()
    side_min = serializers.IntegerField(allow_null=True, help_text="Pixels of the shorter side, at least.")
    short_side_over = serializers.IntegerField(allow_null=True, help_text="Pixels; the shorter side has more.")
    side_max = serializers.IntegerField(allow_null=True, help_text="Pixels of the longer side, at most.")
    long_side_under = serializers.IntegerField(allow_null=True, help_text="Pixels; the longer side has fewer.")
    ratio_min = serializers.FloatField(allow_null=True, help_text="At least.")
    ratio_max = serializers.FloatField(allow_null=True, help_text="At most.")
    ratio_over = serializers.FloatField(allow_null=True, help_text="More than.")
    ratio_under = serializers.FloatField(allow_null=True, help_text="Less than.")


class ModelPriceSchema(serializers.Serializer[Any]):
    """A price, for requests whose fields have the values of `when`. The first price of the list that fits counts."""

    when = PriceCondition(help_text="Empty: fits every request.")
    unit = serializers.ChoiceField(
        list(prices.UNITS.values()), help_text="A million tokens are 1024 million pixels, over all frames of the video."
    )
    usd = serializers.CharField(help_text="USD, with six decimals.")


class ModelSchema(serializers.Serializer[Any]):
    id = serializers.CharField(help_text="The `model` of a create.")
    title = serializers.CharField()
    task = serializers.ChoiceField(
        TASKS, help_text="`i2v`: image to video. `t2v`: text to video. `both`: the image is optional."
    )
    state = serializers.ChoiceField(
        ModelState.State.choices,
        help_text="`active`; `hidden`: works, and is not listed; `deprecated`: works until `retires_at`; `retired`: "
        "creates are refused.",
    )
    replacement = serializers.CharField(allow_null=True, help_text="The id of a model that takes its place.")
    retires_at = serializers.DateField(allow_null=True, help_text="The first day without the model, in UTC.")
    announced_at = serializers.DateField(allow_null=True, help_text="The day on which its end was announced.")
    supported_resolutions = serializers.ListField(
        child=serializers.CharField(), help_text="Empty, as the next two lists: the model has no such field."
    )
    supported_aspect_ratios = serializers.ListField(child=serializers.CharField())
    supported_durations = serializers.ListField(child=serializers.IntegerField(), help_text="Seconds.")
    seed = serializers.BooleanField(help_text="Whether a create takes a seed.")
    audio = serializers.BooleanField(help_text="Whether a video can have sound.")
    image = ImageRulesSchema(allow_null=True, help_text="null: the model takes no image.")
    prices = ModelPriceSchema(many=True, help_text="Empty: no price is known, and creates are refused.")
    settle = serializers.ChoiceField(
        SETTLES, help_text="What a video costs in the end. `quoted`: its price. `usage`: what the upstream counted."
    )
    schema = JsonSchema(help_text="The JSON Schema of the body of POST /v1/generations: exactly what the model takes.")
    unknown = serializers.ListField(
        child=serializers.CharField(), help_text="Sentences on what is not known of the model."
    )


class ModelListSchema(serializers.Serializer[Any]):
    models = ModelSchema(many=True)
