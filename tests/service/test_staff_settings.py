"""Settings of the company's login that do not fit together stop the start with a sentence."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMPANY = {
    "OIDC_ISSUER": "https://login.example.com/realms/staff/",
    "OIDC_CLIENT_ID": "panel",
    "OIDC_CLIENT_SECRET": "a-secret",
    "OIDC_ROLES": "Video Operations=support, Finance=billing,cn=x=owner,Finance=viewer",
}
SHOW = """
from seedance_service import settings as s
print(s.OIDC_ISSUER, s.OIDC_ROLES, s.OIDC_GROUPS_CLAIM, s.STAFF_PASSWORDS, s.AUTHENTICATION_BACKENDS)
"""


def start(**env: str) -> "subprocess.CompletedProcess[str]":
    """Read the settings in a process of its own."""
    command = [sys.executable, "-c", SHOW]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=False)


def test_groups_may_have_spaces_and_several_roles() -> None:
    shown = start(**COMPANY, STAFF_PASSWORDS="off").stdout
    roles = [("Video Operations", "support"), ("Finance", "billing"), ("cn=x", "owner"), ("Finance", "viewer")]
    assert shown.startswith(f"https://login.example.com/realms/staff {roles} groups False ")
    assert "CompanyLoginBackend" in shown
    assert "ModelBackend" not in shown


def test_by_default_passwords_sign_in_alone() -> None:
    shown = start().stdout
    assert "ModelBackend" in shown
    assert "CompanyLoginBackend" not in shown


def test_the_secret_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("from a file\n")
    env = {**COMPANY, "OIDC_CLIENT_SECRET_FILE": str(tmp_path / "secret")}
    del env["OIDC_CLIENT_SECRET"]
    assert start(**env).returncode == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        *(({name: ""}, f"{name} is missing") for name in COMPANY),
        ({"OIDC_CLIENT_ID": "", "OIDC_ROLES": ""}, "OIDC_CLIENT_ID and OIDC_ROLES are missing"),
        ({"OIDC_ISSUER": "http://login.example.com"}, "takes https"),
        ({"OIDC_ISSUER": "login.example.com"}, "OIDC_ISSUER"),
        ({"OIDC_ROLES": "Finance"}, "GROUP=ROLE"),
        ({"OIDC_ROLES": "=owner"}, "GROUP=ROLE"),
        ({"OIDC_GROUPS_CLAIM": ""}, "OIDC_GROUPS_CLAIM"),
        ({**dict.fromkeys(COMPANY, ""), "STAFF_PASSWORDS": "off"}, "no user could sign in"),
    ],
    ids=str,
)
def test_a_mistake_is_named(changes: dict[str, str], words: str) -> None:
    result = start(**{**COMPANY, **changes})
    assert result.returncode != 0
    assert words in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("issuer", ["http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000"])
def test_http_is_allowed_on_this_machine(issuer: str) -> None:
    assert start(**{**COMPANY, "OIDC_ISSUER": issuer}).returncode == 0
