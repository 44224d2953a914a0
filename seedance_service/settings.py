"""Every setting of the service, read once from the environment. README.md has the table."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from seedance_service import env

BASE_DIR = Path(__file__).resolve().parent.parent
VAR = Path(env.text("VAR_DIR", str(BASE_DIR / "var")))

DEBUG = env.flag("DEBUG")
SECRET_KEY = env.text("SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured("SECRET_KEY is not set. Give it, or SECRET_KEY_FILE, a long random value.")
SECRET_KEY_FALLBACKS = env.words("SECRET_KEY_FALLBACKS")  # earlier ones: what they signed or sealed is still good
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "axes",
    "django_otp",
    "django_otp.plugins.otp_totp",
    "tenants",
    "generations",
    "seedance_service",  # the templates and the stylesheet of /docs
]
# Of the panel and the documents; the API has its own, in http/api_handler.py.
MIDDLEWARE = [
    "seedance_service.http.middleware.RequestContext",  # before the next ones: what they refuse has an id too
    "seedance_service.http.middleware.BodyLimit",  # before the one that reads a form to look for its token
    "seedance_service.panel.content_security.PanelHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "seedance_service.panel.session_limits.SessionLimitsMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "seedance_service.panel.second_factor.SecondFactorMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "seedance_service.urls"
WSGI_APPLICATION = "seedance_service.wsgi.application"
APPEND_SLASH = False  # an API path is right or it is 404; a redirected POST would lose its body
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
TIME_ZONE = "UTC"
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
STATIC_ROOT = VAR / "static"

if not env.text("DATABASE_URL"):
    VAR.mkdir(parents=True, exist_ok=True)  # where the default database is made
DATABASES: dict[str, dict[str, Any]] = {"default": env.database("DATABASE_URL", f"sqlite:///{VAR / 'db.sqlite3'}")}
DATABASES["default"]["CONN_MAX_AGE"] = 60  # seconds; a new PostgreSQL connection costs 5 to 16 requests
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True  # one that a restart of the server has cut fails no request
if DATABASES["default"]["ENGINE"].endswith("postgresql"):
    # A server that falls silent is known to be gone within half a minute, and not when TCP gives up.
    DATABASES["default"].setdefault("OPTIONS", {}).update(
        connect_timeout=5, tcp_user_timeout=30_000, keepalives_idle=20, keepalives_interval=5, keepalives_count=2
    )
    # What each create and each look asks is read and planned once a connection: that takes longer than to do it.
    if env.flag("PREPARED_STATEMENTS", True):
        DATABASES["default"]["OPTIONS"]["prepare_threshold"] = 5  # from the fifth time on, as the driver has it
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # IMMEDIATE: a deferred transaction that reads first fails at once under writers, busy timeout or not.
    # FULL: what was answered with 202 survives a power cut, not only a crash of the process.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
    }

PROXY_HOPS = env.whole("PROXY_HOPS", 0, least=0, most=10)  # proxies of ours whose X-Forwarded-For is believed

# TLS ends at the proxy: what leads to it, and says so for years, is said there.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W021"]

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = env.flag("SECURE_COOKIES", not DEBUG)
if SESSION_COOKIE_SECURE:  # no other host of the domain can set such a cookie
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
# Not "Strict": who follows a link from an alert in a chat would seem to be logged out. What changes anything is a POST
# with a token, which no other site can send.
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 60 * env.whole("SESSION_IDLE_MINUTES", 30, least=1, most=1440)  # seconds without a request
SESSION_MAX_HOURS = env.whole("SESSION_MAX_HOURS", 12, least=1, most=720)  # whatever is done in it
STAFF_TOTP = env.flag("STAFF_TOTP")  # whether the panel asks for a second factor
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# By address and name together: nobody locks others of his office out by typing badly, nor an owner from elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "tenants.keys.throttle.client_address"
AXES_LOCKOUT_TEMPLATE = "panel/locked_out.html"
AXES_DISABLE_ACCESS_LOG = True  # the log has it
OTP_TOTP_ISSUER = "Seedance Service"
# An address may carry a signature, so nobody else is told it. Not "no-referrer": with it a browser sends `Origin: null`
# with the panel's own forms, which Django's CSRF check refuses.
SECURE_REFERRER_POLICY = "same-origin"
LOGIN_REDIRECT_URL = "/admin/"

# Two images of 30 MB in Base64 make 80 MiB; the rest of a request is small.
DATA_UPLOAD_MAX_MEMORY_SIZE = 81 * 1024 * 1024

LARGE_BODIES = env.whole("LARGE_BODIES", 2, least=1, most=1000)  # over 4 MiB, at once in one web process
# Callers that wait for an end, at once in one web process: fewer than its 32 threads, or nobody else is answered.
WAITERS = env.whole("WAITERS", 8, least=0, most=31)

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["tenants.api.authentication.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": [],  # authentication itself refuses a request without a key
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["generations.api.json_codec.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "tenants.api.negotiation.Negotiation",
    "DEFAULT_SCHEMA_CLASS": "seedance_service.docs.openapi.schema.OperationSchema",
    "EXCEPTION_HANDLER": "seedance_service.errors.responses.handle",
    "UNAUTHENTICATED_USER": None,
    "DEFAULT_METADATA_CLASS": None,  # OPTIONS describes nothing that /openapi.json does not
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Seedance Service",
    "DESCRIPTION": "Image in, signed URL of a stored video out. Two entrances, one service: "
    "Novita's wire format under `/v3/async/`, the service's own API under `/v1/`. A method that an address does not "
    "have is a 405 with `Allow`, an address that is not there a 404, both in the format of their entrance.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVERS": [{"url": "/"}],
    "TAGS": [
        {"name": "Generations", "description": "Make, read, list, cancel, repeat and delete them."},
        {"name": "Use", "description": "What the tenant used, and what its limits leave."},
        {"name": "Webhooks", "description": "Who is told of what becomes of generations, and what was sent."},
        {"name": "Novita", "description": "The same generations in Novita's wire format."},
    ],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "COMPONENT_SPLIT_PATCH": False,
    # Texts in paths are ids, which are UUIDs; what is none is answered as one that nobody has.
    "PATH_CONVERTER_OVERRIDES": {"str": {"type": "string", "format": "uuid"}},
    "POSTPROCESSING_HOOKS": ["seedance_service.docs.openapi.postprocess.complete"],
}


SQS_WAIT = 5  # seconds; a stop waits for them


def broker(url: str) -> dict[str, Any]:
    """django-q2's broker settings for BROKER_URL: `orm`, `redis://…` or `sqs://REGION/QUEUE`."""
    parts = urlsplit(url)
    match parts.scheme or parts.path:
        case "orm":
            return {"orm": "default"}
        case "redis" | "rediss":
            return {"redis": url}
        case "sqs":
            # With the bucket's keys where there are any, or else by boto3's own chain; and an idle worker waits at SQS
            # for a ring, where it would ask, and pay, a dozen times a second.
            keys = {name.lower(): env.text(name) for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
            keys = {name: value for name, value in keys.items() if value}
            sqs = {"aws_region": parts.hostname, "receive_message_wait_time_seconds": SQS_WAIT, **keys}
            return {"name": unquote(parts.path.strip("/")), "sqs": sqs}
    raise ImproperlyConfigured(f"BROKER_URL is {url!r}; it takes orm, redis://… or sqs://REGION/QUEUE.")


# The queue carries rings for the sweep and nothing else: losing or doubling one costs a wait.
Q_CLUSTER = {
    "name": "seedance",
    "workers": 9,  # one sweeps; the others finish the long steps that their own 50 s began, for 370 s at most
    "timeout": 600,  # seconds; above a sweep's 50 s and the longest step after them
    "retry": 1800,  # seconds; far above the timeout: its clock starts when the ring is fetched
    "max_attempts": 1,  # a ring that failed is not worth repeating; the schedule rings each minute
    "ack_failures": True,
    "queue_limit": 2,  # rings fetched ahead: their retry clock runs already, and one waiting is enough to wake a sweep
    "bulk": 1,  # rings fetched at once: each is one sweep, and a second finds no slot
    "poll": 0.2,  # seconds between looks of an idle worker at the ORM broker
    "save_limit": -1,  # no result kept: a positive limit locks all kept results at each save
    "catch_up": False,
    "label": "Queue",
    **broker(env.text("BROKER_URL", "orm")),
}
SWEEP_SLOTS = env.whole("SWEEP_SLOTS", 1, least=1, most=1000)  # sweeps awake at once, over all worker hosts
SWEEP_THREADS = env.whole("SWEEP_THREADS", 16, least=2, most=1000)  # submits and copies at once in one sweep
POLL_THREADS = env.whole("POLL_THREADS", 32, least=1, most=1000)  # polls at once in one sweep
DELIVERY_THREADS = env.whole("DELIVERY_THREADS", 16, least=2, most=1000)  # webhooks posted at once in one sweep

NOVITA_BASE_URL = env.text("NOVITA_BASE_URL", "https://api.novita.ai").rstrip("/")
NOVITA_API_KEY = env.text("NOVITA_API_KEY")
# Over all hosts; 0: as fast as there are threads.
UPSTREAM_RPM = env.whole("UPSTREAM_RPM", 0, least=0, most=1_000_000)  # submits a minute
UPSTREAM_CONCURRENCY = env.whole("UPSTREAM_CONCURRENCY", 0, least=0, most=1_000_000)  # unfinished tasks at once

# Seconds that a job waits for the upstream.
SUBMIT_DEADLINE = env.whole("SUBMIT_DEADLINE", 3600, least=1, most=7 * 86400)
# Where generations of test keys go, whatever the live upstream is; empty: no test keys.
SANDBOX_BASE_URL = env.text("SANDBOX_BASE_URL").rstrip("/")
SANDBOX_API_KEY = env.text("SANDBOX_API_KEY", "sandbox")
for name, key in {"NOVITA_API_KEY": NOVITA_API_KEY, "SANDBOX_API_KEY": SANDBOX_API_KEY}.items():
    if not key.isascii() or not key.isprintable():
        raise ImproperlyConfigured(f"{name} holds characters that no header may hold.")
PRICES = env.text("PRICES")  # JSON, instead of the model maker's formula; usually by PRICES_FILE

# For tests of faults alone: where to kill, hang or break a process (generations/telemetry/failpoints.py has the names).
FAILPOINT, FAILPOINT_LOG = env.text("FAILPOINT"), env.text("FAILPOINT_LOG")

S3_BUCKET = env.text("S3_BUCKET")
S3_ENDPOINT_URL = env.text("S3_ENDPOINT_URL")  # empty: AWS itself
S3_PUBLIC_URL = env.text("S3_PUBLIC_URL", S3_ENDPOINT_URL)  # the host that signed URLs name
S3_REGION = env.text("AWS_REGION", env.text("AWS_DEFAULT_REGION", "us-east-1"))
AWS_ACCESS_KEY_ID = env.text("AWS_ACCESS_KEY_ID")  # empty: boto3's own chain, a role for example
AWS_SECRET_ACCESS_KEY = env.text("AWS_SECRET_ACCESS_KEY")
SIGNED_URL_TTL = env.whole("SIGNED_URL_TTL", 3600, least=1, most=7 * 86400)  # seconds; S3 allows 7 days at most

# Days for which things are kept; 0: for ever. A tenant may have its own for videos and pictures.
VIDEO_DAYS = env.whole("VIDEO_DAYS", 0, least=0, most=36500)  # after the generation's end
INPUT_DAYS = env.whole("INPUT_DAYS", 0, least=0, most=36500)  # after the last generation from it was made
EVENT_DAYS = env.whole("EVENT_DAYS", 400, least=0, most=36500)  # after the generation's end
DELIVERY_DAYS = env.whole("DELIVERY_DAYS", 90, least=0, most=36500)

FETCH_ALLOW_HOSTS = env.hosts("FETCH_ALLOW_HOSTS")

METRICS_TOKEN = env.text("METRICS_TOKEN")  # empty: no /metrics on the web port
METRICS_PORT = env.whole("METRICS_PORT", 0, least=0, most=65535)  # of the worker's own; 0: none
METRICS_HOST = env.text("METRICS_HOST", "127.0.0.1")
METRICS_DIR = Path(env.text("METRICS_DIR", str(VAR / "metrics")))  # what the processes of this host have counted

# Read by OpenTelemetry itself, as all its other OTEL_… variables; none of the two: no traces.
TRACES = bool(env.text("OTEL_EXPORTER_OTLP_ENDPOINT") or env.text("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))

# What no line of the log may hold.
KEYS_OF_OURS = [SECRET_KEY, *SECRET_KEY_FALLBACKS, METRICS_TOKEN]
KEYS_OF_OTHERS = [NOVITA_API_KEY, SANDBOX_API_KEY, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY]
AUTO_LOG_FORMAT = "console" if sys.stderr.isatty() else "json"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "seedance_service.logs.RedactingFormatter",
            "style": env.one_of("LOG_FORMAT", "auto", {"auto": AUTO_LOG_FORMAT, "json": "json", "console": "console"}),
            "secrets": [*KEYS_OF_OURS, *KEYS_OF_OTHERS],
        }
    },
    "handlers": {"stderr": {"class": "seedance_service.logs.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.text("LOG_LEVEL", "INFO").upper()},
    "loggers": {
        # Their INFO and DEBUG lines hold whole URLs, signatures included.
        "httpcore": {"level": "WARNING"},
        "botocore": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
        "axes": {"level": "WARNING"},  # its lines of each start
        "django-q": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}

UNFOLD = {
    "SITE_TITLE": "Seedance Service",
    "SITE_HEADER": "Seedance Service",
    "SITE_SYMBOL": "movie",
    "DASHBOARD_CALLBACK": "generations.admin.dashboard.add_context",
    "STYLES": [lambda _: static("panel/panel.css")],
    "SIDEBAR": {"navigation": "seedance_service.panel.sidebar.navigation"},
}
