#!/usr/bin/env python3
"""Run a management command with the Python of .venv, and with the settings of a `make run` on this machine."""

import io
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
PYTHON = ROOT / ".venv" / "bin" / "python"

try:
    import environ
    from django.conf import settings
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line
    from django.db import OperationalError
except ModuleNotFoundError as error:
    if __name__ == "__main__" and os.access(PYTHON, os.X_OK) and Path(sys.prefix) != ROOT / ".venv":
        os.execv(PYTHON, [str(PYTHON), *sys.argv])  # noqa: S606  no shell is needed
    sys.exit(f"{error.name} is not installed for {sys.executable}. `make run` installs everything into .venv.")

LOCAL_ENV = Path(os.environ.get("VAR_DIR") or ROOT / "var") / "local.env"
SERVERS = (["worker"], ["qcluster"], ["runserver"])  # their children or threads use the database


def read_local_env() -> None:
    """Set the variables that `make run` stored, so that a command beside it needs no environment of its own."""
    try:
        content = LOCAL_ENV.read_text() if LOCAL_ENV.exists() else ""
    except PermissionError:
        if "SECRET_KEY" not in os.environ and "SECRET_KEY_FILE" not in os.environ:
            sys.exit(
                f"{LOCAL_ENV} belongs to another user and cannot be read. Run the command as the user of `make run`, "
                "or set VAR_DIR to a folder of your own."
            )
        return
    environ.Env.read_env(io.StringIO(content), overwrite=False)


def exit_if_unwritable() -> None:
    """Exit with a sentence if this user cannot write the SQLite database, or the folder in which it lies."""
    database = settings.DATABASES["default"]
    path = Path(database["NAME"])
    if not database["ENGINE"].endswith("sqlite3") or path.name == ":memory:":
        return
    if not all(os.access(each, os.R_OK | os.W_OK) for each in (path.parent, *path.parent.glob(f"{path.name}*"))):
        sys.exit(
            f"This user cannot write {path.parent}, where the database lies. Run the command as the user of "
            "`make run`, or set VAR_DIR to a folder of your own."
        )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "seedance_service.settings")
    read_local_env()
    try:
        settings.INSTALLED_APPS  # noqa: B018  read the settings now, so that a wrong setting is reported as one sentence
    except ImproperlyConfigured as error:
        sys.exit(f"{error} (`make run` sets up everything for a trial on this machine.)")
    if sys.argv[1:2] in SERVERS and not {"-h", "--help"} & set(sys.argv):
        exit_if_unwritable()
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:  # a wrong file of the catalogue
        sys.exit(str(error))
    except OperationalError:
        exit_if_unwritable()
        raise
