"""The shapes of the answers, for the OpenAPI document."""

from typing import Any

from rest_framework import serializers

from generations.models import Generation
from generations.webhooks import novita_payload


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
    external_id = serializers.CharField()
    metadata = serializers.DictField(child=serializers.CharField())
    webhook_url = serializers.CharField()
    rerun_of = serializers.UUIDField(allow_null=True, help_text="The generation whose inputs it took again.")
    test = serializers.BooleanField(help_text="Made with a test key: by the sandbox, on no bill.")
    created_at = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    deleted_at = serializers.DateTimeField(allow_null=True, help_text="Its video and its pictures were removed.")
    expired_at = serializers.DateTimeField(
        allow_null=True, help_text="Its video was removed for its age: the service keeps them for so many days."
    )
    eta = serializers.IntegerField(
        allow_null=True, help_text="Seconds until it is likely over, by how long such ones took; null: nobody knows."
    )
    video = VideoShape(allow_null=True)
    poster = PosterShape(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When the signed URLs of this answer expire.")
    error = ErrorShape(allow_null=True)


class NovitaTaskShape(serializers.Serializer[Any]):
    task_id = serializers.UUIDField()
    task_type = serializers.ChoiceField(["IMG_TO_VIDEO"])
    status = serializers.ChoiceField(sorted(set(novita_payload.NOVITA_STATUS.values())))
    reason = serializers.CharField(help_text="Why it failed.")
    eta = serializers.IntegerField(min_value=0, help_text="Seconds that such tasks took from there; 0: nobody knows.")
    progress_percent = serializers.IntegerField(min_value=0, max_value=100)


class NovitaExtraShape(serializers.Serializer[Any]):
    seed = serializers.CharField(help_text="Digits.")


class NovitaVideoShape(serializers.Serializer[Any]):
    video_url = serializers.CharField(help_text="Signed anew at each read.")
    video_url_ttl = serializers.CharField(help_text="Seconds, in digits.")
    video_type = serializers.ChoiceField(["mp4"])


class NovitaTaskResultShape(serializers.Serializer[Any]):
    extra = NovitaExtraShape()
    task = NovitaTaskShape()
    images = serializers.ListField(max_length=0)
    videos = NovitaVideoShape(many=True)
    audios = serializers.ListField(max_length=0)


class GenerationList(serializers.Serializer[Any]):
    generations = GenerationRow(many=True)
    next_cursor = serializers.CharField(allow_null=True, help_text="`cursor` of the next page; null: this is the last.")


class EventShape(serializers.Serializer[Any]):
    sequence = serializers.IntegerField()
    status = serializers.ChoiceField(Generation.Status.choices)
    message = serializers.CharField()
    created_at = serializers.DateTimeField()


class EventList(serializers.Serializer[Any]):
    events = EventShape(many=True)
