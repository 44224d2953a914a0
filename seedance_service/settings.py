"""Configure Django and its libraries.

What an operator may change is in operator_settings.py and its neighbours for staff, upstreams and the bucket.
"""

import os
import sys
from datetime import timedelta
from typing import Any

from django.templatetags.static import static

from seedance_service import database_settings, url_parts
from seedance_service.bucket_settings import *  # each of these names is a setting
from seedance_service.operator_settings import *  # each of these names is a setting
from seedance_service.staff_settings import *  # each of these names is a setting
from seedance_service.upstream_settings import *  # each of these names is a setting

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "seedance_service",  # before Django's own apps: its `createsuperuser` takes the place of theirs
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
    "django_otp.plugins.otp_static",
    "tenants",
    "generations",
]
# The panel and the documents use this list; the API has its own list in http/api_handler.py.
MIDDLEWARE = [
    "seedance_service.http.middleware.RequestContext",  # before the next ones: a request that they refuse has an id too
    "seedance_service.http.middleware.BodyLimit",  # before CsrfViewMiddleware, which reads a form to find its token
    "seedance_service.panel.content_security.PanelHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "seedance_service.panel.staff_audit.StaffAuditMiddleware",
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
        "DIRS": [BASE_DIR / "seedance_service" / "templates"],  # before unfold's own
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
            "libraries": {"panel": "tenants.admin.template_filters"},
        },
    }
]
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = "seedance_service.panel.formats"  # dates and times in the panel, as ISO 8601 writes them
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
STATIC_ROOT = VAR_DIR / "static"

if not (os.environ.get("DATABASE_URL") or os.environ.get("DATABASE_URL_FILE")):
    VAR_DIR.mkdir(parents=True, exist_ok=True)  # the default database is created there
DATABASES = {"default": database_settings.complete(DATABASE, prepare_statements=PREPARED_STATEMENTS)}

# TLS ends at the proxy, which also redirects to https and sends Strict-Transport-Security.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W021"]

SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
if SESSION_COOKIE_SECURE:  # no other host of the domain can set a cookie with this prefix
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
# Not "Strict": an operator who follows a link from an alert in a chat would seem to be logged out. Every change is a
# POST with a token, which no other site can send.
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 60 * SESSION_IDLE_MINUTES  # seconds without a request
# A session ends when its backend leaves this list. The company's login comes before axes, which counts passwords alone.
COMPANY_LOGIN_BACKEND = "seedance_service.panel.company_login.backend.CompanyLoginBackend"
AUTHENTICATION_BACKENDS = [
    *([COMPANY_LOGIN_BACKEND] if OIDC_ISSUER else []),
    "axes.backends.AxesStandaloneBackend",
    *(["django.contrib.auth.backends.ModelBackend"] if STAFF_PASSWORDS else []),
]
# Names of mozilla-django-oidc, which takes the endpoints from `identity_provider`.
OIDC_RP_CLIENT_ID, OIDC_RP_CLIENT_SECRET, OIDC_USE_PKCE = OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, True
OIDC_TIMEOUT = 5  # seconds to connect, and of silence, for each call of the company's login
OIDC_AUTHENTICATION_CALLBACK_URL = "company_login_callback"
# Address and name together: wrong passwords of one user lock out neither that office nor an owner elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_CLIENT_IP_CALLABLE = "tenants.keys.client_address.client_address"
PROXY_META = "HTTP_" + PROXY_HEADER.upper().replace("-", "_")  # as WSGI names the header
AXES_LOCKOUT_TEMPLATE = "panel/locked_out.html"
AXES_DISABLE_ACCESS_LOG = True  # the log records accesses already
OTP_TOTP_ISSUER = "Seedance Service"
# An address may hold a signature, so other sites do not see it. Not "no-referrer": with that value a browser sends
# `Origin: null` with the panel's own forms, which Django's CSRF check refuses.
SECURE_REFERRER_POLICY = "same-origin"
LOGIN_REDIRECT_URL = "/admin/"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

EMAIL_HOST, EMAIL_PORT, EMAIL_HOST_USER, EMAIL_HOST_PASSWORD, EMAIL_USE_TLS, EMAIL_USE_SSL = MAIL_SERVER
EMAIL_TIMEOUT = 10  # seconds

# bytes; two images of 30 MB in Base64 make 80 MiB, and the rest of a request is small
DATA_UPLOAD_MAX_MEMORY_SIZE = 81 * 1024 * 1024

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
    "DESCRIPTION": "Image in, signed URL of a stored video out. One service with two APIs: "
    "Novita's wire format under `/v3/async/`, the native API under `/v1/`. A method that a path does not have is a 405 "
    "with `Allow`, an unknown path a 404, both in the error format of their API.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SERVERS": [{"url": "/"}],
    "TAGS": [
        {"name": "Generations", "description": "Create, read, list, cancel, rerun and delete generations."},
        {"name": "Usage and limits", "description": "The tenant's usage, and what is left of its limits."},
        {
            "name": "Webhooks",
            "description": "Endpoints that are notified of a generation's progress, and the delivery log.",
        },
        {"name": "Novita", "description": "The same generations in Novita's wire format."},
    ],
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "COMPONENT_SPLIT_PATCH": False,
    # A text in a path is an id, which is a UUID. Another text is answered like an unknown id.
    "PATH_CONVERTER_OVERRIDES": {"str": {"type": "string", "format": "uuid"}},
    "POSTPROCESSING_HOOKS": ["seedance_service.docs.openapi.postprocess.complete"],
}


SQS_WAIT = 5  # seconds that one request to SQS waits for a message; a stop waits as long


def broker(url: str) -> dict[str, Any]:
    """Return django-q2's settings for BROKER_URL: `orm`, `redis://…` or `sqs://REGION/QUEUE`."""
    if url == "orm":
        return {"orm": "default"}
    form = "orm, redis://HOST:6379/0 or sqs://REGION/QUEUE"
    parts = url_parts.split("BROKER_URL", url, form)
    has_host, name = len(parts.hosts) == 1 and bool(parts.hosts[0]), parts.path.strip("/")
    match parts.scheme:
        case "redis" | "rediss" if has_host and (not name or name.isdecimal()):
            return {"broker_class": "generations.redis_broker.BoundedRedis", "redis": url}
        case "sqs" if has_host and name:
            # An idle worker waits at SQS for a wake-up: without the wait it would ask, and pay, a dozen times a second.
            sqs = {"aws_region": parts.hosts[0], "receive_message_wait_time_seconds": SQS_WAIT}
            return {"name": name, "broker_class": "generations.sqs.SqsBroker", "sqs": sqs}
    raise url_parts.unreadable("BROKER_URL", form)


# The queue carries wake-ups of the worker and nothing else: losing or doubling one costs a wait.
Q_CLUSTER = {
    "name": "seedance",
    "workers": 9,  # one runs the worker loop; the others finish long steps that their own 50 s began, for 370 s at most
    "timeout": 600,  # seconds; above a worker run's 50 s and the longest step after them
    "retry": 1800,  # seconds; far above the timeout: its clock starts when the wake-up is fetched
    "max_attempts": 1,  # a wake-up that failed is not worth repeating; the schedule sends one each minute
    "ack_failures": True,
    "queue_limit": 2,  # wake-ups fetched ahead: their retry clock runs already, and one is enough to start a run
    "bulk": 1,  # wake-ups fetched at once: each starts one worker run, and a second run finds no slot
    "poll": 0.2,  # seconds between two queries of an idle worker with the ORM broker
    "save_limit": -1,  # store no result: a positive limit locks all stored results at each save
    "catch_up": False,
    "label": "Queue",
    **broker(BROKER_URL),
}

AUTO_LOG_FORMAT = "console" if sys.stderr.isatty() else "json"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": "seedance_service.logs.RedactingFormatter",
            "style": AUTO_LOG_FORMAT if LOG_FORMAT == "auto" else LOG_FORMAT,
        }
    },
    "handlers": {"stderr": {"class": "seedance_service.logs.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    "loggers": {
        # The INFO and DEBUG entries of these three hold whole URLs, signatures included.
        "httpcore": {"level": "WARNING"},
        "botocore": {"level": "WARNING"},
        "urllib3": {"level": "WARNING"},
        "axes": {"level": "WARNING"},  # axes logs a few entries at each start
        "django-q": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
    },
}

UNFOLD = {
    "SITE_TITLE": "Seedance Service",
    "SITE_HEADER": "Seedance Service",
    "SITE_SYMBOL": "movie",
    "DASHBOARD_CALLBACK": "generations.admin.dashboard.add_context",
    "STYLES": [lambda _: static("panel/panel.css")],
    "SCRIPTS": [lambda _: static("panel/keyboard.js"), lambda _: static("panel/buttons.js")],
    "ACCOUNT": {"navigation": "seedance_service.panel.account_menu.links"},
    "SIDEBAR": {"navigation": "seedance_service.panel.sidebar.navigation"},
}
