"""Serve the sandbox upstream from one catalogue: Novita's wire (`novita`) with its bills (`books`), and `ark`."""

import os
import sys
from urllib.parse import urlsplit

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

from seedance_service import env

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.environ.get("SANDBOX_SECRET") or os.urandom(16).hex(),
    ALLOWED_HOSTS=["127.0.0.1", "localhost", "[::1]", urlsplit(os.environ["SANDBOX_URL"]).hostname],
    CATALOG_DIR=os.environ.get("CATALOG_DIR", ""),
    FETCH_ALLOW_HOSTS=[],
    PRICES=env.text("PRICES", help="Prices as JSON, as the service reads them."),
    DELIVERY_THREADS=2,  # the sandbox has no deliveries, but the fetch of images reads this setting
    USE_TZ=True,
    MIDDLEWARE=[],
)
application = get_wsgi_application()

# These modules of the service read Django's settings, so they are imported after the settings.
from generations.catalog import video_models
from generations.catalog.model_file import CatalogError

try:
    video_models.models()
except CatalogError as error:
    sys.exit(str(error))

from deploy.sandbox import ark, books, novita, shared

urlpatterns = [
    *novita.urlpatterns,
    *ark.urlpatterns,
    *books.urlpatterns,
    path("videos/<str:task_id>.mp4", shared.video),
    path("sandbox/tasks", shared.tasks),
    path("sandbox/clock", shared.put_clock_forward),
    path("<path:_any>", novita.no_such_api),
]
