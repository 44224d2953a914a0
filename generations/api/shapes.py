"""The shapes of the answers, for the OpenAPI document."""

from typing import Any

from rest_framework import serializers

from generations.models import Generation


class ImageShape(serializers.Serializer[Any]):
    url = serializers.CharField(required=False, help_text="Where it was given as a URL.")
    sha256 = serializers.CharField(required=False, help_text="Once its bytes are stored, as the fields below.")
    format = serializers.CharField(required=False)
    width = serializers.IntegerField(required=False)
    height = serializers.IntegerField(required=False)
    size = serializers.IntegerField(required=False, help_text="Bytes.")


class VideoShape(serializers.Serializer[Any]):
    url = serializers.CharField(help_text="Signed anew at each read.")
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()
    codec = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    fps = serializers.FloatField()
    duration = serializers.FloatField(help_text="Seconds.")


class PosterShape(serializers.Serializer[Any]):
    url = serializers.CharField()


class ErrorShape(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class GenerationRow(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(Generation.Status.choices)
    progress_percent = serializers.IntegerField()
    model = serializers.CharField()
    prompt = serializers.CharField()
    resolution = serializers.CharField()
    aspect_ratio = serializers.CharField()
    duration = serializers.IntegerField(help_text="Seconds.")
    camera_fixed = serializers.BooleanField()
    seed = serializers.IntegerField(help_text="Always concrete: the caller's, or the one that was drawn.")
    seed_source = serializers.ChoiceField(Generation.SeedSource.choices)
    image = ImageShape()
    last_image = ImageShape(allow_null=True)
    price_usd = serializers.CharField(help_text="The worst case in USD, held until it ends.")
    test = serializers.BooleanField(help_text="Made with a test key: by the sandbox, on no bill.")
    created_at = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    video = VideoShape(allow_null=True)
    poster = PosterShape(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When the signed URLs of this answer expire.")
    error = ErrorShape(allow_null=True)


class GenerationList(serializers.Serializer[Any]):
    generations = GenerationRow(many=True)
