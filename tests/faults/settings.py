"""The service's settings, with the clocks of leases and pauses quickened: what takes minutes takes seconds."""

from seedance_service.settings import *  # noqa: F403
from seedance_service.settings import INSTALLED_APPS, LOGGING

INSTALLED_APPS = [*INSTALLED_APPS, "tests.faults.quick.Quick"]
LOGGING["loggers"]["httpx"] = {"level": "WARNING"}  # the callers of the lab are httpx's, which logs each request
