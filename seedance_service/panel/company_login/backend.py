"""The authentication backend of the company's login: mozilla-django-oidc's, with stricter checks of what comes back.

The library itself compares neither issuer nor audience of an id token, and finds a user by e-mail. Here both are
compared, and the user is the one of the identity (`accounts`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
import requests
from django.contrib.auth import get_user_model
from django.core.exceptions import SuspiciousOperation
from django.urls import reverse
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from seedance_service import identity_provider
from seedance_service.identity_provider import ProviderAway, ProviderWrong
from seedance_service.panel.company_login import accounts
from seedance_service.panel.company_login.addresses import absolute_url, setting
from seedance_service.panel.company_login.refusals import Reason, SignInRefused

CALLBACK = "company_login_callback"  # the name of its address
LEEWAY_SECONDS = 60  # by which the provider's clock may differ; doctor's limit for other clocks too
REQUIRED_CLAIMS = ["iss", "sub", "aud", "exp", "iat"]  # OpenID Connect Core, 2
MALFORMED = (AttributeError, LookupError, TypeError, ValueError)  # JSON of another form than the library expects


class CompanyLoginBackend(OIDCAuthenticationBackend):
    """Let users in by the company's login."""

    get_settings = staticmethod(setting)

    def __init__(self) -> None:
        """Do without the library's own, which needs the endpoints: each request of a session makes a backend."""
        self.UserModel = get_user_model()

    def authenticate(self, request: Any, *, nonce: str, code_verifier: str) -> Any:
        """Exchange the code of a callback, and return its user. Raise SignInRefused.

        Django passes this backend over where a password is checked: the arguments differ.
        """
        with _answers_of_the_provider():
            OIDCAuthenticationBackend.__init__(self)
            # The library's method returns what get_or_create_user does: here the claims. The user is none of the
            # provider's business, and an error there is no error of the provider.
            claims = super().authenticate(request, nonce=nonce, code_verifier=code_verifier)
        return accounts.sign_in(claims)

    def get_token(self, payload: dict[str, Any]) -> Any:
        """Exchange the code for tokens."""
        return super().get_token({**payload, "redirect_uri": absolute_url(self.request, reverse(CALLBACK))})

    def get_payload_data(self, token: Any, key: Any) -> dict[str, Any]:
        """Return the claims of an id token. Raise an error of PyJWT if it is not the provider's, for us and for now."""
        provider = identity_provider.load()
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[provider.signing_algorithm],
            audience=self.OIDC_RP_CLIENT_ID,
            issuer=provider.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": REQUIRED_CLAIMS},
        )
        if claims.get("azp", self.OIDC_RP_CLIENT_ID) != self.OIDC_RP_CLIENT_ID:
            raise jwt.InvalidAudienceError("The token was issued to another client.")
        return claims

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Return the claims of the id token, completed by those of the userinfo endpoint. No user is touched yet."""
        self.request.company_id_token = id_token  # the session takes it once there is one
        if not identity_provider.load().userinfo_endpoint:
            return payload
        more = dict(self.get_userinfo(access_token, id_token, payload))
        if more.get("sub") != payload["sub"]:  # OpenID Connect Core, 5.3.2: else it may be another user's
            raise SignInRefused(Reason.WRONG, trouble="the userinfo is that of another subject")
        return {**more, **payload}


@contextmanager
def _answers_of_the_provider() -> Iterator[None]:
    """Raise SignInRefused for whatever is wrong with the provider or its answers. No text of an answer is logged."""
    try:
        yield
    except (ProviderAway, ProviderWrong) as error:
        raise refusal_of(error) from error
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else 0
        raise SignInRefused(Reason.AWAY if status >= 500 else Reason.WRONG, trouble=f"status {status}") from error
    except (requests.ConnectionError, requests.Timeout) as error:
        raise SignInRefused(Reason.AWAY, trouble=type(error).__name__) from error
    except (jwt.ExpiredSignatureError, jwt.ImmatureSignatureError) as error:
        raise SignInRefused(Reason.CLOCK, trouble=type(error).__name__) from error
    except (jwt.PyJWTError, requests.RequestException, SuspiciousOperation, *MALFORMED) as error:
        raise SignInRefused(Reason.WRONG, trouble=type(error).__name__) from error


def refusal_of(error: ProviderAway | ProviderWrong) -> SignInRefused:
    """Return the refusal of a sign-in for which the discovery document could not be had."""
    return SignInRefused(Reason.AWAY if isinstance(error, ProviderAway) else Reason.WRONG, trouble=str(error))
