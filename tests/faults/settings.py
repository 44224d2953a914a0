"""The settings of the service with shorter leases and intervals: seconds in place of minutes."""

from seedance_service.settings import *  # noqa: F403
from seedance_service.settings import INSTALLED_APPS, LOGGING

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.quick.Quick"]
LOGGING["loggers"]["httpx"] = {"level": "WARNING"}  # the callers of the lab use httpx, which logs each request
