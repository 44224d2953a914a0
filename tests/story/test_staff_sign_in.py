"""Staff sign in to the running service by the company's login, as a browser walks it, page by page."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy import stack, waiting
from tests.support.openid_provider import OpenIdProvider, company_settings

pytestmark = pytest.mark.story
USER, PASSWORD = "root", "a-long-enough-password"


@pytest.fixture
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenIdProvider]:
    running = OpenIdProvider(tmp_path_factory.mktemp("provider"))
    yield running
    running.stop()


@contextmanager
def served(folder: Path, port: int, **env: str) -> Iterator[None]:
    """Serve the panel by a web process with its state in the folder."""
    own = {"PORT": str(port), "VAR_DIR": str(folder), "SECRET_KEY": "tests", "SECURE_COOKIES": "off", **env}
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    bucket = {"S3_BUCKET": "tests", "AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "tests-secret"}
    full = {**inherited, **own, **bucket, "DJANGO_SETTINGS_MODULE": "seedance_service.settings"}
    full |= {"ALLOWED_HOSTS": "127.0.0.1", "NOVITA_API_KEY": "none", "METRICS_DIR": str(folder / "metrics")}
    (folder / "static").mkdir(exist_ok=True)
    if env.get("STAFF_PASSWORDS") != "off":
        command = [
            sys.executable,
            "manage.py",
            "createsuperuser",
            "--noinput",
            "--username",
            USER,
            "--email",
            "r@x.example",
        ]
        subprocess.run(command, cwd=stack.ROOT, env={**full, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}, check=True)
    process = stack.web(port, folder / "static", folder, full)
    try:
        waiting.until_answers(process, f"http://127.0.0.1:{port}/livez")
        yield
    finally:
        process.kill()


def log_in_by_password(browser: httpx.Client) -> httpx.Response:
    """Post the form to log in, whether or not the page has a form."""
    browser.get("/admin/login/")
    form = {"username": USER, "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies.get("csrftoken", "")}
    return browser.post("/admin/login/", data={**form, "next": "/admin/"})


def sign_in(browser: httpx.Client, provider: OpenIdProvider, username: str) -> httpx.Response:
    """Walk from a page of the panel through its login page and the provider back to the page."""
    to_login = browser.get("/admin/auth/user/")
    page = browser.get(to_login.headers["Location"]).text
    [link] = re.findall(r'href="(/admin/company-login/[^"]*)"', page)
    to_provider = browser.get(link.replace("&amp;", "&"))
    back = browser.get(provider.walk(to_provider.headers["Location"], username))
    assert back.status_code == 302, back.text
    return browser.get(back.headers["Location"])


def test_staff_sign_in_and_out_and_passwords_are_switched_off(provider: OpenIdProvider, migrated_var: Path) -> None:
    provider.add("nora", "Leads")
    port = stack.free_port(30_000 + os.getpid() % 20_000)
    url = f"http://127.0.0.1:{port}"
    provider.register(url)
    settings = company_settings(provider)
    with httpx.Client(base_url=url) as by_company, httpx.Client(base_url=url) as by_password:
        with served(migrated_var, port, **settings):
            page = sign_in(by_company, provider, "nora")
            assert (page.status_code, page.url.path) == (200, "/admin/auth/user/")
            assert log_in_by_password(by_password).headers["Location"] == "/admin/"
            assert by_password.get("/admin/").status_code == 200
        with served(migrated_var, port, **settings, STAFF_PASSWORDS="off"):
            assert by_company.get("/admin/").status_code == 200
            assert by_password.get("/admin/").status_code == 302
            login_page = by_password.get("/admin/login/").text
            assert ("company-login" in login_page, 'name="password"' in login_page) == (True, False)
            assert log_in_by_password(by_password).status_code == 403
            token = by_company.cookies.get("csrftoken", "")
            out = by_company.post("/admin/logout/", data={"csrfmiddlewaretoken": token})
            assert f"{provider.issuer}/logout/?id_token_hint=" in out.text
            assert by_company.get("/admin/").status_code == 302
    logs = "".join(path.read_text(errors="replace") for path in migrated_var.glob("web.log*"))
    assert "a company login" in logs
    assert "eyJ" not in logs
    assert PASSWORD not in logs
