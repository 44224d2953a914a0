#!/usr/bin/env python
import os
import sys
from pathlib import Path

import environ
from django.core.management import execute_from_command_line

LOCAL_ENV = Path(os.environ.get("VAR_DIR") or Path(__file__).parent / "var") / "local.env"

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "seedance_service.settings")
    if LOCAL_ENV.exists():  # written by `make run`, so that commands typed beside it need no environment
        environ.Env.read_env(LOCAL_ENV, overwrite=False)
    execute_from_command_line(sys.argv)
