"""The claims of the tests' OpenID provider. They can be imported only where django-oauth-toolkit is configured."""

from typing import Any

import jwt
from oauth2_provider.oauth2_validators import OAuth2Validator

from tests.support.openid_provider_process import FORGED, forge, new_key


class Validator(OAuth2Validator):
    """Add names and groups to id tokens and to the userinfo, and forge id tokens on demand."""

    oidc_claim_scope = {
        **OAuth2Validator.oidc_claim_scope,
        "preferred_username": "profile",
        "given_name": "profile",
        "family_name": "profile",
        "email": "email",
        "groups": "groups",
    }

    def get_additional_claims(self) -> dict[str, Any]:
        """Return how each claim is found; the library asks without a request, and so lists them in the discovery."""
        return {
            "preferred_username": lambda request: request.user.username,
            "given_name": lambda request: request.user.first_name,
            "family_name": lambda request: request.user.last_name,
            "email": lambda request: request.user.email,
            "groups": lambda request: [group.name for group in request.user.groups.all()],
        }

    def get_id_token_dictionary(self, token: Any, token_handler: Any, request: Any) -> Any:
        """Return the claims, forged where the test says so."""
        claims, expires = super().get_id_token_dictionary(token, token_handler, request)
        return forge(claims), expires

    def finalize_id_token(self, id_token: Any, token: Any, token_handler: Any, request: Any) -> Any:
        """Sign the token, with a key of another's where the test says so, under the right key's id."""
        signed: str = super().finalize_id_token(id_token, token, token_handler, request)
        if not FORGED.get("signature"):
            return signed
        claims = jwt.decode(signed, options={"verify_signature": False})
        headers = {"kid": jwt.get_unverified_header(signed)["kid"]}
        if FORGED["signature"] == "right":  # of claims that the library does not sign itself
            claims = {name: value for name, value in claims.items() if name not in FORGED["without"]}
            key = request.client.jwk_key.export_to_pem(private_key=True, password=None)
            return jwt.encode(claims, key, algorithm="RS256", headers=headers)
        if FORGED["signature"] == "none":
            return jwt.encode(claims, None, algorithm="none", headers=headers)
        if FORGED["signature"] == "secret":  # the client's own secret, which the provider need not know in clear
            return jwt.encode(claims, FORGED["secret"], algorithm="HS256", headers=headers)
        return jwt.encode(claims, new_key(), algorithm="RS256", headers=headers)

    def get_userinfo_claims(self, request: Any) -> Any:
        """Return the userinfo, of another subject where the test says so."""
        return {**super().get_userinfo_claims(request), **FORGED.get("userinfo", {})}
