"""Read the settings of staff who sign in to the panel, as operator_settings.py reads most others."""

from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from seedance_service import env, url_parts

SESSION_IDLE_MINUTES = env.integer(
    "SESSION_IDLE_MINUTES", 30, minimum=1, maximum=1440, help="A panel session ends after so many idle minutes."
)
SESSION_MAX_HOURS = env.integer(
    "SESSION_MAX_HOURS", 12, minimum=1, maximum=720, help="A panel session ends after so many hours in any case."
)
STAFF_TOTP = env.flag(
    "STAFF_TOTP",
    help="Ask every user of the panel who signs in with a password for a second factor. A user of the company's login "
    "is not asked: that login has its own.",
)
STAFF_PASSWORDS = env.flag(
    "STAFF_PASSWORDS",
    True,
    help="Let users sign in to the panel with a password. Off: with the company's login alone, which `OIDC_ISSUER` "
    "names, and sessions that began with a password end.",
)
OIDC_ISSUER = env.http_url(
    "OIDC_ISSUER",
    help="Issuer of the company's login (OpenID Connect), such as `https://login.example.com/realms/staff`. Its "
    "endpoints are read from `/.well-known/openid-configuration` below it. See the runbook.",
)
OIDC_CLIENT_ID = env.text("OIDC_CLIENT_ID", help="Id of the client that is registered at the company's login.")
OIDC_CLIENT_SECRET = env.text("OIDC_CLIENT_SECRET", help="Secret of that client.")
OIDC_GROUPS_CLAIM = env.text(
    "OIDC_GROUPS_CLAIM", "groups", help="Claim in which the company's login sends a user's groups."
)
OIDC_ROLES = env.pairs(
    "OIDC_ROLES",
    help="Roles of the panel that the groups of the company's login give, such as "
    "`Video Operations=support,Finance=billing`. A group or a role may be there more than once.",
    accepts="comma-separated list of `GROUP=ROLE`",
)

_company_login = {
    "OIDC_ISSUER": OIDC_ISSUER,
    "OIDC_CLIENT_ID": OIDC_CLIENT_ID,
    "OIDC_CLIENT_SECRET": OIDC_CLIENT_SECRET,
    "OIDC_ROLES": OIDC_ROLES,
}
_missing = [name for name, value in _company_login.items() if not value]
if 0 < len(_missing) < len(_company_login):
    raise ImproperlyConfigured(
        f"The company's login is set in part: {' and '.join(_missing)} {'is' if len(_missing) == 1 else 'are'} missing."
    )
if OIDC_ISSUER.startswith("http:") and not url_parts.is_loopback(urlsplit(OIDC_ISSUER).hostname or ""):
    raise ImproperlyConfigured("OIDC_ISSUER is an http address; it takes https, except on this machine.")
if not OIDC_GROUPS_CLAIM:
    raise ImproperlyConfigured("OIDC_GROUPS_CLAIM is empty; it takes the name of a claim, such as groups.")
if not STAFF_PASSWORDS and not OIDC_ISSUER:
    raise ImproperlyConfigured("STAFF_PASSWORDS is off, and OIDC_ISSUER is not set: no user could sign in.")
