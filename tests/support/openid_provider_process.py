"""The OpenID provider of the tests, as a process: django-oauth-toolkit with a login form, consent and groups.

`python -m tests.support.openid_provider_process PORT FOLDER`. The test posts to /control/ who has an account, and how
the next id tokens are forged.
"""

import json
import sys
import time
from typing import Any

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import include, path

FORGED: dict[str, Any] = {}  # by name, how the id tokens differ from right ones
LOGIN = "<form method=post>{% csrf_token %}{{ form }}<button>Sign in</button></form>"
BASE = "{% block content %}{% endblock %}"  # without styles from another host


def new_key() -> str:
    """Return a private RSA key as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, pkcs8, plain = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(pem, pkcs8, plain).decode()


def configure(port: int, folder: str) -> None:
    """Configure Django."""
    loaders = [
        (
            "django.template.loaders.locmem.Loader",
            {"registration/login.html": LOGIN, "oauth2_provider/base.html": BASE},
        ),
        "django.template.loaders.app_directories.Loader",
    ]
    apps = ["auth", "contenttypes", "sessions", "messages"]
    context = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth"]
    settings.configure(
        SECRET_KEY="provider",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[*(f"django.contrib.{name}" for name in apps), "oauth2_provider"],
        MIGRATION_MODULES=dict.fromkeys([*apps, "oauth2_provider"]),  # tables without a history, in less time
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{folder}/provider.sqlite3"}},
        MIDDLEWARE=[
            f"{__name__}.away",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"context_processors": context, "loaders": loaders},
            }
        ],
        SESSION_COOKIE_NAME="provider_session",
        CSRF_COOKIE_NAME="provider_csrf",
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        USE_TZ=True,
        LOGIN_URL="/accounts/login/",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": new_key(),
            "OIDC_ISS_ENDPOINT": f"http://localhost:{port}",
            "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
            "OIDC_RP_INITIATED_LOGOUT_ALWAYS_PROMPT": False,
            "OAUTH2_VALIDATOR_CLASS": f"{__name__}_claims.Validator",
            "PKCE_REQUIRED": True,
            "SCOPES": {name: name for name in ("openid", "profile", "email", "groups")},
        },
    )


def away(get_response: Any) -> Any:
    """Answer every request with 503 while the test wants the provider away."""

    def answer(request: Any) -> Any:
        is_away = FORGED.get("away") == request.path or FORGED.get("away") == "all"
        return HttpResponse(status=503) if is_away and request.path != "/control/" else get_response(request)

    return answer


def control(request: Any) -> HttpResponse:
    """Change accounts, clients and forgeries as the test says."""
    from django.contrib.auth.models import Group, User
    from oauth2_provider.models import Application

    order = json.loads(request.body)
    if client := order.get("client"):
        facts = {"client_type": "confidential", "authorization_grant_type": "authorization-code", "algorithm": "RS256"}
        Application.objects.filter(client_id=client["client_id"]).delete()
        Application.objects.create(name="panel", **facts, **client)
    if account := order.get("account"):
        groups = account.pop("groups", [])
        user, _ = User.objects.update_or_create(username=account.pop("username"), defaults=account)
        user.set_password("password")
        user.save()
        user.groups.set([Group.objects.get_or_create(name=name)[0] for name in groups])
        return JsonResponse({"sub": str(user.pk)})
    if "forged" in order:
        FORGED.clear()
        FORGED.update(order["forged"])
    return JsonResponse({})


def forge(claims: dict[str, Any]) -> dict[str, Any]:
    """Return the claims of an id token, changed as the test says."""
    changes = dict(FORGED.get("claims", {}))
    if "seconds" in FORGED:  # the provider's clock
        now = int(time.time()) + FORGED["seconds"]
        changes |= {"iat": now, "nbf": now, "exp": now + 300}
    return {**claims, **changes}


def urls() -> list[Any]:
    """Return the addresses of the provider."""
    from django.contrib.auth.views import LoginView
    from django.views.decorators.csrf import csrf_exempt

    return [
        path("accounts/login/", LoginView.as_view()),
        path("control/", csrf_exempt(control)),
        path("", include("oauth2_provider.urls", namespace="oauth2_provider")),
    ]


class QuietHandler(WSGIRequestHandler):
    """Serve without a line for each request."""

    def log_message(self, format: str, *args: Any) -> None:
        """Write nothing."""


def main(port: int, folder: str) -> None:
    """Serve until the process is killed."""
    configure(port, folder)
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    globals()["urlpatterns"] = urls()
    server = ThreadedWSGIServer(("127.0.0.1", port), QuietHandler)
    server.set_app(get_wsgi_application())
    server.serve_forever()


if __name__ == "__main__":
    sys.modules["tests.support.openid_provider_process"] = sys.modules["__main__"]  # its settings name it
    __name__ = "tests.support.openid_provider_process"
    main(int(sys.argv[1]), sys.argv[2])
