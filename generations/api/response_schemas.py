"""The schemas of answers about generations, for the OpenAPI document alone: `render` writes the answers."""

from typing import Any

from rest_framework import serializers

from generations.api.fields import Metadata
from generations.models import Generation
from generations.webhooks import novita_payload


class ImageSchema(serializers.Serializer[Any]):
    url = serializers.CharField(required=False, help_text="Present if the image was given as a URL.")
    sha256 = serializers.CharField(required=False, help_text="Present, as the fields below, once the bytes are stored.")
    format = serializers.CharField(required=False)
    width = serializers.IntegerField(required=False)
    height = serializers.IntegerField(required=False)
    size = serializers.IntegerField(required=False, help_text="Bytes.")


class DifferenceSchema(serializers.Serializer[Any]):
    field = serializers.CharField(
        help_text="`width`, `height`, `duration`, `fps`, `frames`, `seed`, `resolution` (in lines) and `aspect_ratio` "
        "(width / height) as the upstream reports them, or `audio`: 1 was requested, 0 received if the sound is "
        "missing."
    )
    requested = serializers.FloatField()
    received = serializers.FloatField()


class VideoSchema(serializers.Serializer[Any]):
    url = serializers.CharField(help_text="A signed URL, fresh at each read.")
    size = serializers.IntegerField(help_text="Bytes.")
    sha256 = serializers.CharField()
    codec = serializers.CharField()
    width = serializers.IntegerField()
    height = serializers.IntegerField()
    fps = serializers.FloatField()
    duration = serializers.FloatField(help_text="Seconds.")
    as_requested = serializers.BooleanField(
        allow_null=True,
        help_text="Whether the video is what was requested: pixels, duration, frame rate, frames, sound and seed. "
        "null: the video is of a release that did not compare.",
    )
    differences = DifferenceSchema(many=True, help_text="What differs from the request; empty if nothing does.")


class PosterSchema(serializers.Serializer[Any]):
    url = serializers.CharField()


class ErrorSchema(serializers.Serializer[Any]):
    code = serializers.CharField()
    message = serializers.CharField()


class GenerationRow(serializers.Serializer[Any]):
    id = serializers.UUIDField()
    status = serializers.ChoiceField(Generation.Status.choices)
    progress_percent = serializers.IntegerField()
    model = serializers.CharField()
    prompt = serializers.CharField()
    resolution = serializers.CharField(
        allow_null=True, help_text="null, as any field below: the model has no such field."
    )
    aspect_ratio = serializers.CharField(allow_null=True)
    duration = serializers.IntegerField(help_text="Seconds.")
    camera_fixed = serializers.BooleanField(allow_null=True)
    seed = serializers.IntegerField(
        allow_null=True, help_text="The caller's seed, or the one that the service drew. null: the model has no seed."
    )
    seed_source = serializers.ChoiceField(Generation.SeedSource.choices)
    image = ImageSchema(allow_null=True)
    last_image = ImageSchema(allow_null=True)
    price_usd = serializers.CharField(help_text="The highest price in USD, held until the generation ends.")
    charged_usd = serializers.CharField(
        required=False,
        help_text="What the generation cost in USD. Present once it has ended, if that may differ from `price_usd`: "
        "the upstream's usage decides, which may come to more, or the video was made where it costs less. Any other "
        "generation that succeeded cost `price_usd`.",
    )
    external_id = serializers.CharField()
    metadata = Metadata()
    webhook_url = serializers.CharField()
    rerun_of = serializers.UUIDField(allow_null=True, help_text="The generation that this one reran.")
    test = serializers.BooleanField(help_text="Created with a test key: rendered by the sandbox, and not billed.")
    created_at = serializers.DateTimeField()
    submitted_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)
    deleted_at = serializers.DateTimeField(allow_null=True, help_text="When the video and the images were deleted.")
    expired_at = serializers.DateTimeField(allow_null=True, help_text="When the video was removed because of its age.")
    eta = serializers.IntegerField(
        allow_null=True, help_text="Estimated seconds until the generation ends; null: no estimate."
    )
    video = VideoSchema(allow_null=True)
    poster = PosterSchema(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True, help_text="When the signed URLs in this answer expire.")
    error = ErrorSchema(allow_null=True)


class NovitaTaskSchema(serializers.Serializer[Any]):
    task_id = serializers.UUIDField()
    task_type = serializers.ChoiceField(novita_payload.TASK_TYPES)
    status = serializers.ChoiceField(sorted(set(novita_payload.NOVITA_STATUS.values())))
    reason = serializers.CharField(help_text="The reason of a failure, or an empty string.")
    eta = serializers.IntegerField(min_value=0, help_text="Estimated seconds until the task ends; 0: no estimate.")
    progress_percent = serializers.IntegerField(min_value=0, max_value=100)


class NovitaExtraSchema(serializers.Serializer[Any]):
    seed = serializers.CharField(required=False, help_text="Digits. Without it, the model has no seed.")


class NovitaVideoSchema(serializers.Serializer[Any]):
    video_url = serializers.CharField(help_text="A signed URL, fresh at each read.")
    video_url_ttl = serializers.CharField(help_text="Seconds, in digits.")
    video_type = serializers.ChoiceField(["mp4"])


class NovitaTaskResultSchema(serializers.Serializer[Any]):
    extra = NovitaExtraSchema()
    task = NovitaTaskSchema()
    images = serializers.ListField(max_length=0)
    videos = NovitaVideoSchema(many=True)
    audios = serializers.ListField(max_length=0)


class GenerationList(serializers.Serializer[Any]):
    generations = GenerationRow(many=True)
    next_cursor = serializers.CharField(
        allow_null=True, help_text="The `cursor` of the next page; null: this is the last page."
    )


class EventSchema(serializers.Serializer[Any]):
    sequence = serializers.IntegerField()
    status = serializers.ChoiceField(Generation.Status.choices)
    message = serializers.CharField()
    created_at = serializers.DateTimeField()


class EventList(serializers.Serializer[Any]):
    events = EventSchema(many=True)
