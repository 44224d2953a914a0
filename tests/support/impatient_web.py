"""The service as a web process that is impatient with slow callers, so that tests of it take a second."""

import importlib

from seedance_service.http import body_places, stalled_connections

stalled_connections.limits = stalled_connections.Limits(check_seconds=0.1, silent_seconds=2.0, patience_seconds=0.4)
body_places.places.quick_seconds = 0.2
application = importlib.import_module("seedance_service.wsgi").application  # now: the import starts the checks
