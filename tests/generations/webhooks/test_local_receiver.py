"""The receiver of the guide's page, as a reader runs it, gets a delivery and checks its signature."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy import stack
from generations.models import Delivery
from generations.webhooks import endpoints
from tests.support.factories import ACTOR, Caller
from tests.support.running import ROOT, free_port
from tests.support.webhooks import attempt_all

PAGE = ROOT / "seedance_service" / "docs" / "guide" / "webhooks-locally.md"
pytestmark = [pytest.mark.django_db, pytest.mark.one_database]


@pytest.fixture
def run(alice: Caller, settings: Any, tmp_path: Path) -> Iterator[tuple[Any, subprocess.Popen[str]]]:
    """Start the receiver of the page, with the secret of a new endpoint. Yield the endpoint and the process."""
    port = free_port()
    settings.FETCH_ALLOW_HOSTS = [f"127.0.0.1:{port}"]
    endpoint, secret = endpoints.create(ACTOR, alice.tenant, f"http://127.0.0.1:{port}/hook", test=False)
    [program] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "receiver.py").write_text(program)
    env = {"WEBHOOK_SECRET": secret, "PORT": str(port), "PATH": str(stack.BIN)}
    process = subprocess.Popen(
        [sys.executable, "receiver.py"],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as http:  # until it listens
            assert http.post(endpoint.url, content=b"{}").status_code == 400
        yield endpoint, process
        process.kill()


def test_the_receiver_prints_an_event_and_refuses_what_is_not_signed(
    run: tuple[Any, subprocess.Popen[str]],
) -> None:
    endpoint, process = run
    endpoints.send_test(endpoint)
    [delivery] = attempt_all()
    assert delivery.status == Delivery.Status.DELIVERED
    assert process.stdout
    assert process.stdout.readline().startswith("refused:")  # the one that only tried if the receiver is there
    assert json.loads(process.stdout.readline())["type"] == "webhook.test"
