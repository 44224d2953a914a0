"""A peer: creates and reads as one would first write them with Django REST framework and the ORM.

A create looks the key up, counts the tenant's videos of the day against a quota, validates and writes one row. A read
signs two URLs with boto3. Middlewares are Django's defaults without sessions. DATABASE_URL names the database.
"""

import hashlib
import os
from typing import Any

import boto3
import environ
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["*"],
    DATABASES={"default": {**environ.Env.db_url_config(os.environ["DATABASE_URL"]), "CONN_MAX_AGE": 60}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["rest_framework"],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"],
    REST_FRAMEWORK={"UNAUTHENTICATED_USER": None},
    ROOT_URLCONF=__name__,
    SECRET_KEY="bench",
    USE_TZ=True,
)

from django.core.wsgi import get_wsgi_application  # noqa: E402

application = get_wsgi_application()

from django.db import connection, models  # noqa: E402
from django.utils import timezone  # noqa: E402
from rest_framework import authentication, exceptions, mixins, routers, serializers, viewsets  # noqa: E402

S3 = boto3.client(
    "s3", "us-east-1", endpoint_url="http://127.0.0.1:9", aws_access_key_id="bench", aws_secret_access_key="bench"
)


class Key(models.Model):  # noqa: DJ008
    digest = models.CharField(max_length=64, unique=True)
    per_day = models.IntegerField()

    class Meta:
        app_label = "naive"

    is_authenticated = True


class Video(models.Model):  # noqa: DJ008
    key = models.ForeignKey(Key, models.CASCADE)
    image = models.URLField()
    resolution = models.CharField(max_length=10)
    prompt = models.TextField()
    status = models.CharField(max_length=20, default="queued")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        app_label = "naive"
        indexes = [models.Index(fields=["key", "created_at"], name="naive_key_created")]


class Keys(authentication.BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        text = request.headers.get("Authorization", "").removeprefix("Bearer ")
        key = Key.objects.filter(digest=hashlib.sha256(text.encode()).hexdigest()).first()
        if key is None:
            raise exceptions.AuthenticationFailed
        return key, None


class VideoSerializer(serializers.ModelSerializer[Video]):
    urls = serializers.SerializerMethodField()

    class Meta:
        model = Video
        fields = ["id", "image", "resolution", "prompt", "status", "created_at", "urls"]
        read_only_fields = ["status", "created_at"]

    def get_urls(self, video: Video) -> list[str]:
        if self.context["request"].method == "POST":
            return []
        names = f"{video.pk}.mp4", f"{video.pk}.jpg"
        return [S3.generate_presigned_url("get_object", Params={"Bucket": "bench", "Key": name}) for name in names]


class Videos(mixins.CreateModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Video]):
    authentication_classes = [Keys]
    serializer_class = VideoSerializer

    def get_queryset(self) -> Any:
        return Video.objects.filter(key=self.request.user)

    def perform_create(self, serializer: Any) -> None:
        today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        if self.get_queryset().filter(created_at__gte=today).count() >= self.request.user.per_day:
            raise exceptions.Throttled
        serializer.save(key=self.request.user)


router = routers.SimpleRouter()
router.register("videos", Videos, basename="video")
urlpatterns = router.urls


def prepare(api_key: str) -> None:
    """Create the tables, a key and one video, with the id 1."""
    with connection.schema_editor() as editor:
        editor.create_model(Key)
        editor.create_model(Video)
    key = Key.objects.create(digest=hashlib.sha256(api_key.encode()).hexdigest(), per_day=100_000_000)
    Video.objects.create(key=key, image="https://example.com/picture.png", resolution="480p", status="succeeded")
