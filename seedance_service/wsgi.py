"""The service as a WSGI application. Imports, clients and caches of a web process are prepared before requests."""

import gc
import os
import sys

import django
import structlog
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "seedance_service.settings")
try:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(settings.METRICS_DIR / "web")  # before anything counts
    django.setup(set_prefix=False)
except ImproperlyConfigured as error:  # a wrong setting, or a wrong file of the catalogue
    sys.exit(str(error))

from generations.api import long_poll
from generations.bucket import client  # these modules read the settings
from generations.bucket.errors import StorageError
from seedance_service.http import dispatch, stalled_connections

log = structlog.stdlib.get_logger(__name__)
application = dispatch.application
try:
    client.create_clients()
except StorageError:  # /readyz reports it, and so does every call that needs the bucket
    log.exception("the bucket's clients can not be made")
long_poll.stop_on_signal()
stalled_connections.watch()
gc.collect()
gc.freeze()  # loaded modules live as long as the process: the collector need not visit them
