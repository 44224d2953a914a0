"""Test compose.yaml: rights, settings, hosts and secrets."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.tools import DEPLOY, run
from tests.service.docs.test_documents import SETTINGS
from tests.support.programs import find_program

OURS = ("web-1", "web-2", "worker-1", "worker-2", "migrate", "bucket", "sandbox")


def compose() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return document


def test_compose_accepts_its_file() -> None:
    """Use version 2 if it is installed; version 1 does not know `name`."""
    text = (DEPLOY / "compose.yaml").read_text()
    docker = shutil.which("docker")
    if docker and subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0:
        command = [docker, "compose"]
    else:
        command = [find_program("docker-compose", package="docker-compose")]
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
            pytest.skip("docker-compose is installed and does not run")
        text = re.sub(r"^name:.*\n", "", text, flags=re.MULTILINE)
    run(*command, "-f", "-", "--project-directory", str(DEPLOY), "config", "-q", input=text)


@pytest.mark.parametrize("name", OURS)
def test_a_container_of_ours_has_few_rights(name: str) -> None:
    service = compose()["services"][name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_every_setting_of_a_container_is_one(name: str) -> None:
    environment = set(compose()["services"][name]["environment"]) - {"DJANGO_SETTINGS_MODULE"}
    assert {variable.removesuffix("_FILE") for variable in environment} <= set(SETTINGS)
    secret = [variable for variable in environment if re.search(r"KEY|SECRET|PASSWORD\b|TOKEN|DATABASE_URL", variable)]
    assert [variable for variable in secret if not variable.endswith("_FILE")] == []


def test_there_are_two_of_each_a_slot_for_each_worker_and_a_route_to_each_web() -> None:
    services = compose()["services"]
    assert services["web-1"]["environment"]["SWEEP_SLOTS"] == "2"
    for number in (1, 2):
        assert services[f"web-{number}"]["command"] == ["web"]
        assert services[f"worker-{number}"]["command"] == ["worker"]
        assert f"web-{number}:8000" in services["proxy"]["environment"]["WEB_HOSTS"]


def test_secrets_are_made_once_and_lie_in_files(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    for _ in range(2):
        run("sh", str(tmp_path / "secrets.sh"))
        secrets = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert {entry["file"].removeprefix("./secrets/") for entry in compose()["secrets"].values()} == set(secrets)
    assert secrets["database_password"] in secrets["database_url"]
    [identity] = json.loads(secrets["s3.json"])["identities"]
    assert identity["credentials"] == [
        {"accessKey": secrets["aws_access_key_id"], "secretKey": secrets["aws_secret_access_key"]}
    ]
    assert len(secrets["secret_key"]) == 64


@pytest.mark.parametrize("name", OURS)
def test_a_folder_of_ones_own_models_is_mounted_where_the_setting_names_it(name: str) -> None:
    service = compose()["services"][name]
    [mount] = service["volumes"]
    assert mount == f"${{CATALOG_DIR:-./models}}:{service['environment']['CATALOG_DIR']}:ro"
    assert (DEPLOY / "models").is_dir()
