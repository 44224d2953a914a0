#!/usr/bin/env python
import os
import sys
from pathlib import Path

import environ
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

LOCAL_ENV = Path(os.environ.get("VAR_DIR") or Path(__file__).parent / "var") / "local.env"

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "seedance_service.settings")
    if LOCAL_ENV.exists():  # written by `make run`, so that commands typed beside it need no environment
        environ.Env.read_env(LOCAL_ENV, overwrite=False)
    try:
        settings.INSTALLED_APPS  # noqa: B018  reads the settings now, so that what is wrong with them is one sentence
    except ImproperlyConfigured as error:
        sys.exit(f"{error} (`make run` sets up everything for a trial on this machine.)")
    execute_from_command_line(sys.argv)
