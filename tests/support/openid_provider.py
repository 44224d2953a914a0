"""Starts the OpenID provider of the tests, and walks its pages as a browser does."""

import os
import re
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from deploy import stack, waiting
from tests.http_client import Client

CLIENT_ID, CLIENT_SECRET = "seedance-panel", "a-secret-of-the-client"
CALLBACK = "/admin/company-login/callback/"
START = "/admin/company-login/"


class OpenIdProvider:
    """A provider on this machine, with no account at first."""

    def __init__(self, folder: Path) -> None:
        port = stack.free_port(20_000 + os.getpid() % 10_000)
        self.issuer = f"http://localhost:{port}"
        command = [sys.executable, "-m", "tests.support.openid_provider_process", str(port), str(folder)]
        env = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
        self.process = stack.Process("provider", command, env, folder)
        waiting.until_answers(self.process, f"{self.issuer}/.well-known/openid-configuration")
        self.register("http://testserver")

    def stop(self) -> None:
        """End the process."""
        self.process.kill()

    def register(self, origin: str) -> None:
        """Register the panel at this origin as the one client."""
        uris = {"redirect_uris": origin + CALLBACK, "post_logout_redirect_uris": f"{origin}/admin/login/"}
        self._control(client={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, **uris})

    def add(self, username: str, *groups: str, **facts: str) -> str:
        """Add or change an account, and return its subject."""
        answer = self._control(account={"username": username, "groups": list(groups), **facts})
        return str(answer["sub"])

    def forge(self, **changes: Any) -> None:
        """Forge what the provider answers from now on. Without changes: answer right again."""
        self._control(forged=changes)

    def _control(self, **order: Any) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.post(f"{self.issuer}/control/", json=order).raise_for_status().json()
        return answer

    def walk(self, url: str, username: str, *, agrees: bool = True, browser: httpx.Client | None = None) -> str:
        """Sign in at the provider, answer its question for consent, and return where it sends the browser."""
        with nullcontext(browser) if browser else httpx.Client() as browser:
            page = browser.get(url, follow_redirects=True)
            to_consent = _submit(browser, page, username=username, password="password")
            page = browser.get(page.url.join(to_consent.headers["Location"]))
            answer = _submit(browser, page, **({"allow": "Authorize"} if agrees else {}))
        assert answer.status_code == 302, answer.text
        return str(answer.headers["Location"])


def _submit(browser: httpx.Client, page: httpx.Response, **values: str) -> httpx.Response:
    """Post the form of a page, with the values that it hides."""
    inputs = re.findall(r"<input[^>]*type=\"hidden\"[^>]*>", page.text)
    hidden = {
        re.findall(r'name="([^"]*)"', tag)[0]: (re.findall(r'value="([^"]*)"', tag) or [""])[0].replace("&amp;", "&")
        for tag in inputs
    }
    return browser.post(page.url, data={**hidden, **values})


def begin(http: Client, next_url: str = "/admin/") -> str:
    """Follow the link of the login page, and return the provider's address."""
    answer = http.get(START, {"next": next_url})
    assert answer.status_code == 302, answer.content.decode()
    return str(answer["Location"])


def come_back(http: Client, url: str) -> Any:
    """Follow the provider's redirect back to the panel, and return the panel's answer."""
    parts = urlsplit(url)
    return http.get(f"{parts.path}?{parts.query}")


def sign_in(http: Client, provider: OpenIdProvider, username: str, next_url: str = "/admin/") -> Any:
    """Walk a whole sign-in, and return the panel's answer to the callback."""
    return come_back(http, provider.walk(begin(http, next_url), username))


def company_settings(provider: OpenIdProvider) -> dict[str, str]:
    """Return the environment of a service whose staff sign in at the provider."""
    client = {"OIDC_CLIENT_ID": CLIENT_ID, "OIDC_CLIENT_SECRET": CLIENT_SECRET}
    return {"OIDC_ISSUER": provider.issuer, **client, "OIDC_ROLES": "Leads=owner,Video Operations=support"}
