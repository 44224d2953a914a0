"""Hold the state of `make run` in one folder: its settings for the next start, and the lock of a running stack."""

import fcntl
import os
import pwd
from pathlib import Path
from typing import IO

from deploy.stack import ROOT, StackError

VAR = Path(os.environ.get("VAR_DIR") or ROOT / "var").resolve()
LOCAL_ENV = VAR / "local.env"
# Settings that name a file or a folder. They are stored as absolute paths.
PATHS = ("CATALOG_DIR", "PRICES_FILE")
# LOCAL_ENV stores these for the next start, and for commands that are typed beside a running stack.
STORED = "SECRET_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY ADMIN_PASSWORD SEEDANCE_API_KEY SANDBOX_SECRET".split()
STORED += "SEEDANCE_URL S3_BUCKET S3_ENDPOINT_URL ALLOWED_HOSTS SECURE_COOKIES FETCH_ALLOW_HOSTS DATABASE_URL".split()
STORED += ["VIDEO_ALLOW_HOSTS", *PATHS]
# These only where the sandbox stands in for the upstream: with the key of a real one, no task goes to the sandbox.
STORED_OF_SANDBOX = ["NOVITA_BASE_URL", "NOVITA_API_KEY", "NOVITA_KEY_ID", "SANDBOX_BASE_URL"]
STORED_OF_SANDBOX_AS_ARK = ["ARK_BASE_URL", "ARK_API_KEY"]


def is_set(name: str) -> bool:
    """Return whether the environment has a setting, by its value or by the path of a file with the value."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def read() -> dict[str, str]:
    """Return what LOCAL_ENV stores, or nothing before the first start."""
    lines = LOCAL_ENV.read_text().splitlines() if LOCAL_ENV.exists() else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def write(env: dict[str, str]) -> None:
    """Store the variables of `env` that the next start and other commands need, readable for this user alone."""
    names = STORED
    if not is_set("NOVITA_API_KEY"):
        names = names + STORED_OF_SANDBOX + ([] if is_set("ARK_API_KEY") else STORED_OF_SANDBOX_AS_ARK)
    LOCAL_ENV.touch(0o600)
    LOCAL_ENV.write_text("".join(f"{name}={env[name]}\n" for name in names if env.get(name)))


def check_access() -> None:
    """Raise StackError if this user cannot write the state folder, or something that an earlier start left there."""
    try:
        VAR.mkdir(parents=True, exist_ok=True)
        for path in (VAR, *VAR.iterdir()):
            if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)):
                raise PermissionError(None, None, str(path))
    except OSError as error:
        raise StackError(
            f"User {_user()} cannot write {error.filename}. All state of `make run` lies in {VAR}. "
            "Start as the owner of that folder, or choose another folder: VAR_DIR=/path/to/folder make run"
        ) from error


def _user() -> str:
    """Return this user's name, or the number of a user without a name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"user {os.getuid()}"


def lock() -> IO[str]:
    """Return an open file whose lock lasts while a stack runs on var/. Raise BlockingIOError if another one does."""
    file = (VAR / "run.lock").open("w")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return file
