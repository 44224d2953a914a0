"""Sets the environment of the tests before Django reads its settings, and removes the caller's own settings."""

import atexit
import os
import shutil
import sys
import tempfile

for name in (
    "NOVITA_API_KEY",
    "S3_ENDPOINT_URL",
    "S3_PUBLIC_URL",
    "FETCH_ALLOW_HOSTS",
    "VIDEO_ALLOW_HOSTS",
    "BROKER_URL",
    "DEBUG",
    "SAFETY_IDENTIFIER",
):
    os.environ.pop(name, None)
own = ("AWS_", "S3_", "ARK_", "OIDC_", "STAFF_")  # the developer's own credentials too
for name in [name for name in os.environ if name.startswith(own)]:
    os.environ.pop(name)
os.environ.update(
    SECRET_KEY="tests",
    DATABASE_URL=os.environ.get("TEST_DATABASE_URL", "sqlite:///tests.sqlite3"),
    ALLOWED_HOSTS="testserver,localhost,127.0.0.1",
    NOVITA_BASE_URL="http://127.0.0.1:9",  # no server: a test that needs an upstream starts one
    ARK_BASE_URL="http://127.0.0.1:9",
    NOVITA_API_KEY="upstream-key-of-the-tests",
    NOVITA_BILLS="off",  # tests of the books switch it on: no other upstream of a test has any
    S3_BUCKET="seedance-tests",
    AWS_ACCESS_KEY_ID="tests",
    AWS_SECRET_ACCESS_KEY="tests-secret",
    AWS_REGION="us-east-1",
    SECURE_COOKIES="off",
    AWS_EC2_METADATA_DISABLED="true",
    METRICS_DIR=tempfile.mkdtemp(prefix="seedance-metrics-"),  # of this process alone: tests compare what they count
)
# Each process of a test run would compile every file again: twelve seconds for the tests, a third of one for a command.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ["PROMETHEUS_MULTIPROC_DIR"] = f"{os.environ['METRICS_DIR']}/web"
atexit.register(shutil.rmtree, os.environ["METRICS_DIR"], ignore_errors=True)
