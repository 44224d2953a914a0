"""The doctor reads the discovery document of the company's login, and says what is wrong with it."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from seedance_service.findings import OK, WRONG
from seedance_service.login_checks import check_company_login
from tests.service.panel.company_login.conftest import use

pytestmark = [pytest.mark.one_database, pytest.mark.django_db]


class Document:
    """A discovery document that is served on this machine."""

    def __init__(self, url: str) -> None:
        self.status, self.body = 200, b""
        self.right = {
            "issuer": url,
            **dict.fromkeys(("authorization_endpoint", "token_endpoint", "jwks_uri"), f"{url}/x"),
            "id_token_signing_alg_values_supported": ["ES256", "RS256"],
            "scopes_supported": ["openid", "email", "groups"],
        }
        self.set()

    def set(self, **changes: Any) -> None:
        """Serve the document with these changes; None takes a key away."""
        document = {name: value for name, value in {**self.right, **changes}.items() if value is not None}
        self.body = json.dumps(document).encode()


@pytest.fixture
def document(settings: Any) -> Iterator[Document]:
    """Serve a right document."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(served.status)
            self.send_header("Location", "http://127.0.0.1:9/")
            self.end_headers()
            self.wfile.write(served.body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served = Document(f"http://127.0.0.1:{server.server_address[1]}")
    use(settings, served.right["issuer"])
    Thread(target=server.serve_forever, daemon=True).start()
    yield served
    server.shutdown()
    server.server_close()


def finding() -> tuple[str, str]:
    """Return level and fact of the one finding."""
    [found] = check_company_login()
    assert bool(found.fix) == (found.level != OK)
    return found.level, found.fact


def test_without_the_setting_there_is_nothing_to_check() -> None:
    assert list(check_company_login()) == []


def test_a_right_document(document: Document) -> None:
    assert finding() == (OK, "it answers, and is asked for openid, email, groups")
    document.set(scopes_supported=["openid"])
    assert finding()[0] == OK
    assert "no scope groups" in finding()[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "https://other.example.com"}, "another issuer"),
        ({"issuer": None}, "another issuer"),
        ({"token_endpoint": None}, "no token_endpoint"),
        ({"token_endpoint": "http://login.example.com/token"}, "no https address"),
        ({"userinfo_endpoint": "http://login.example.com/me"}, "no https address"),
        ({"jwks_uri": "javascript:x"}, "no https address"),
        ({"id_token_signing_alg_values_supported": ["HS256", "none"]}, "no id token is signed"),
    ],
    ids=str,
)
def test_a_wrong_document(document: Document, changes: dict[str, Any], words: str) -> None:
    document.set(**changes)
    level, fact = finding()
    assert (level, words in fact) == (WRONG, True), fact


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"[1]", b"\xff", b"null", b'"x"'])
def test_no_document(document: Document, body: bytes) -> None:
    document.body = body
    level, _ = finding()
    assert level == WRONG


@pytest.mark.parametrize(("status", "words"), [(404, "status 404"), (302, "status 302"), (503, "status 503")])
def test_another_status(document: Document, status: int, words: str) -> None:
    document.status = status
    level, fact = finding()
    assert (level, words in fact) == (WRONG, True)


def test_a_provider_that_is_away(document: Document, settings: Any) -> None:
    settings.OIDC_ISSUER = "http://127.0.0.1:9"
    assert finding() == (WRONG, "it does not answer: ConnectionError")


def test_roles_that_do_not_exist(document: Document, settings: Any) -> None:
    settings.OIDC_ROLES = [("a", "boss"), ("b", "owner"), ("c", "chief")]
    _, roles = check_company_login()
    assert (roles.level, roles.fact) == (WRONG, "OIDC_ROLES names roles that do not exist: boss, chief")
    assert roles.fix
