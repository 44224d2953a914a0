"""Read the settings that an operator may change.

Those of the bucket, of the upstreams and of staff who sign in to the panel are in files of their own.
Each setting has a reader, a default, a range and a help text. settings.py takes all names from these files, and
`make docs` writes docs/SETTINGS.md from them.
"""

import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

from seedance_service import env

BASE_DIR = Path(__file__).resolve().parent.parent
_MAX_DAYS = 36_500  # a hundred years

# Django and the panel; how staff sign in is in staff_settings.py

SECRET_KEY = env.text(
    "SECRET_KEY",
    help="Signs sessions and encrypts webhook secrets. Required: the service does not start without a value.",
)
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. Give it, or SECRET_KEY_FILE, a long random value.")
SECRET_KEY_FALLBACKS = env.comma_list(
    "SECRET_KEY_FALLBACKS",
    help="Earlier secret keys. When you change `SECRET_KEY`, put the old key here, or no webhook can be signed. "
    "`manage.py reseal` then encrypts the webhook secrets with the new key. After that, remove the old key.",
)
ALLOWED_HOSTS = env.comma_list("ALLOWED_HOSTS", "localhost", help="Host names that the service answers.")
CSRF_TRUSTED_ORIGINS = env.comma_list(
    "CSRF_TRUSTED_ORIGINS", help="Origin of the panel behind a TLS proxy, such as `https://seedance.example.com`."
)
DEBUG = env.flag("DEBUG", help="Django's debug mode. Never use it in production.")
SECURE_COOKIES = env.flag(
    "SECURE_COOKIES", not DEBUG, help="Send the panel's cookies over https only.", default_label="on; off with `DEBUG`"
)
# Files and the database

VAR_DIR = env.folder(
    "VAR_DIR", BASE_DIR / "var", help="Folder for state on this machine.", default_label="`var` in the checkout"
)
DATABASE: dict[str, Any] = env.database(
    "DATABASE_URL",
    f"sqlite:///{quote(str(VAR_DIR / 'db.sqlite3'))}",
    help="`postgres://USER:PASSWORD@HOST:5432/NAME` or `sqlite:////PATH`. Escape special characters in the password, "
    "such as `%2F` for `/`. A socket's folder may be the host: `%2Fvar%2Frun%2Fpostgresql`.",
    default_label="SQLite in `VAR_DIR`",
)
PREPARED_STATEMENTS = env.flag(
    "PREPARED_STATEMENTS",
    True,
    help="Let PostgreSQL plan the statements of creates and polls once per connection. Set `off` behind a pooler that "
    "shares connections by transaction without prepared statements: PgBouncer before 1.21, or with "
    "`max_prepared_statements = 0`.",
)
BROKER_URL = env.text(
    "BROKER_URL", "orm", help="Queue for wake-ups: `orm` (a database table), `redis://…` or `sqs://REGION/QUEUE`."
)

# The catalogue

CATALOG_DIR = env.text(
    "CATALOG_DIR",
    help="Folder with files of video models, as `generations/catalog/models` has them: each adds a model, or replaces "
    "the shipped one of the same id. See the runbook.",
)
PRICES = env.text(
    "PRICES",
    help="Prices as JSON instead of those in the models' files. Usually given as `PRICES_FILE`; see the runbook.",
)

# Addresses of others

FETCH_ALLOW_HOSTS = env.hosts(
    "FETCH_ALLOW_HOSTS",
    help="Private places that callers' URLs of images and webhooks may lead to, also over http: `host`, `host:port` or "
    "`network/bits`. The service's own upstream and bucket need no entry.",
)
VIDEO_ALLOW_HOSTS = env.hosts(
    "VIDEO_ALLOW_HOSTS",
    help="Private places, beside those, that the upstream's videos may be copied from. `NOVITA_BASE_URL`, "
    "`ARK_BASE_URL`, `SANDBOX_BASE_URL` and `S3_ENDPOINT_URL` need no entry. No caller's URL may lead there.",
)

# Warnings

LIMIT_THRESHOLDS = env.percentages(
    "LIMIT_THRESHOLDS",
    "50,80,100",
    help="Percentages of each limit of generations, seconds and USD, of tenants and of keys, at which the tenant's "
    "webhooks and the operators are warned, once in each day or month. Empty: no warning.",
)
LIMIT_WARNING_EMAILS = env.comma_list(
    "LIMIT_WARNING_EMAILS", help="Addresses that get an e-mail of each such warning. It needs `EMAIL_URL`."
)
MAIL_SERVER = env.mail_server(
    "EMAIL_URL",
    help="Mail server: `smtp+tls://USER:PASSWORD@HOST:587` with STARTTLS, `smtp+ssl://…:465`, or `smtp://HOST:25`.",
)
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "seedance-service@localhost", help="Sender of e-mails.")
if LIMIT_WARNING_EMAILS and not MAIL_SERVER.host:
    raise ImproperlyConfigured("LIMIT_WARNING_EMAILS is set, and EMAIL_URL, the mail server, is not.")

# Retention

VIDEO_DAYS = env.integer(
    "VIDEO_DAYS", 0, maximum=_MAX_DAYS, help="Days that a video stays after the end. 0: for ever. A tenant may differ."
)
INPUT_DAYS = env.integer(
    "INPUT_DAYS",
    0,
    maximum=_MAX_DAYS,
    help="Days that an input image is stored after the last generation from it was created. 0: for ever. A tenant may "
    "have its own value.",
)
EVENT_DAYS = env.integer(
    "EVENT_DAYS",
    400,
    maximum=_MAX_DAYS,
    help="Days that events and answers of a finished generation stay. 0: for ever.",
)
DELIVERY_DAYS = env.integer(
    "DELIVERY_DAYS", 90, maximum=_MAX_DAYS, help="Days that webhook deliveries stay. 0: for ever."
)

# The web process

LARGE_BODIES = env.integer(
    "LARGE_BODIES",
    2,
    minimum=1,
    maximum=1000,
    help="Request bodies over 4 MiB that one web process reads at once. Each takes up to 300 MB of memory. Four forms "
    "with files count as one. With 2, a process stays below 800 MB, and below 1.2 GB while its other 30 threads read "
    "bodies of 4 MiB.",
)
WAITERS = env.integer(  # fewer than the 32 threads of a web process: other requests need one
    "WAITERS",
    8,
    maximum=31,
    help="Requests with `Prefer: wait=N` that may wait at once in one web process. Each takes one of 32 threads and no "
    "database connection. Further requests are answered at once.",
)
PROXY_HOPS = env.integer(
    "PROXY_HOPS", 0, maximum=10, help="Your own proxies before the web process, whose `PROXY_HEADER` is believed."
)
PROXY_HEADER = env.text("PROXY_HEADER", "X-Forwarded-For", help="Where your proxies write the address that they saw.")
env.document("PORT", default="8000", accepts="1 to 65535", help="Port of the web process; the Procfile reads it.")
env.document("WEB_WORKERS", default="2", accepts="number", help="Web processes of a host; the Procfile reads it.")

# The worker

SWEEP_SLOTS = env.integer(
    "SWEEP_SLOTS", 1, minimum=1, maximum=1000, help="Worker runs at once over all hosts: one for each worker host."
)
SWEEP_THREADS = env.integer(
    "SWEEP_THREADS",
    16,
    minimum=2,
    maximum=1000,
    help="Submits and copies at once in one worker run. Neither kind takes more than three quarters. Tenants take "
    "turns.",
)
POLL_THREADS = env.integer(
    "POLL_THREADS",
    32,
    minimum=1,
    maximum=1000,
    help="Polls at once in one worker run, over pooled connections. A poll needs no database connection.",
)
SPOOL_DIR = env.text(
    "SPOOL_DIR", tempfile.gettempdir(), help="Folder on the worker's disk for videos on their way to the bucket."
)
SPOOL_MB = env.integer(
    "SPOOL_MB",
    4096,
    minimum=2048,
    maximum=10**6,
    help="MB of disk that all copies of a worker run use at most. They are reserved before a video is downloaded, and "
    "256 MB of the disk stay free. A video for which there is too little waits.",
)
DELIVERY_THREADS = env.integer(
    "DELIVERY_THREADS",
    16,
    minimum=2,
    maximum=1000,
    help="Webhooks posted at once in one worker run; half of them for receivers that are failing. Each has a database "
    "connection.",
)

# Monitoring

METRICS_TOKEN = env.text(
    "METRICS_TOKEN", help="Bearer token of `/metrics`. Without a token the web port does not serve `/metrics`."
)
METRICS_PORT = env.integer(
    "METRICS_PORT",
    0,
    maximum=65_535,
    help="Port where the worker's supervisor serves `/metrics` of its host. With `METRICS_TOKEN` the port "
    "asks for the token. 0: none.",
)
METRICS_HOST = env.text("METRICS_HOST", "127.0.0.1", help="Address that `METRICS_PORT` listens on.")
METRICS_DIR = env.folder(
    "METRICS_DIR",
    VAR_DIR / "metrics",
    help="Folder for counters of this host's processes, on a local disk that no other container shares. The folder "
    "of a role is emptied when that role starts. A process that cannot write there logs so and counts nothing.",
    default_label="`metrics` in `VAR_DIR`",
)
# OpenTelemetry reads these two, and its other OTEL_… variables, by itself.
TRACES = bool(
    env.text(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        help="Collector for traces, OTLP over HTTP. A trace follows a create through submit, poll and copy to the "
        "webhook, as part of the caller's trace (`traceparent`). It holds ids, states and outcomes, never a caller's "
        "text. OpenTelemetry's other `OTEL_…` variables hold too.",
    )
    or env.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", help="The same, for traces only.")
)
LOG_LEVEL = env.text("LOG_LEVEL", "INFO", help="Lowest level that is logged.").upper()
LOG_FORMAT = env.choice(
    "LOG_FORMAT",
    "auto",
    {"auto": "auto", "json": "json", "console": "console"},
    help="`auto`: colours on a terminal, JSON lines elsewhere.",
)

# Trials and tests

env.document(
    "SANDBOX_SECONDS", default="8", accepts="seconds", help="`make run`: the shortest time that a sandbox task takes."
)
FAILPOINT = env.text(
    "FAILPOINT",
    help="For fault tests only: `name:action[:chance]` kills, hangs or breaks a process at that place. The names are "
    "in generations/telemetry/failpoints.py.",
)
FAILPOINT_LOG = env.text("FAILPOINT_LOG", help="For fault tests only: file where each failpoint action is recorded.")
