"""Write what callers get for the rows of a database: `python upgrade_answers.py MANIFEST.json ANSWERS.json`.

It runs at a checkout's root. It ran once by commit 0e0537e, the last whose models were code, which made
`models_in_code/*.answers.json.gz`; the test of the upgrade runs it by today's code. So it uses only what both have: the
APIs, `manage.py tenant bill`, and the tests' helpers.
"""

import base64
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path.cwd()))
os.environ["DJANGO_SETTINGS_MODULE"] = "seedance_service.settings"

import boto3
import moto
from django.apps import apps
from django.conf import settings
from django.core.management import call_command

import tests.support.environment  # noqa: F401
from tests import http_client  # it sets Django up
from tests.support.upstream import Upstream, as_json
from tests.support.worker import take_step

# These differ from read to read: signatures with their times, and how long something is likely to take.
FRESH = re.compile(r'(\?X-Amz-[^"]*|"(?:expires_at|eta|request_id|video_url_ttl)":(?:"[^"]*"|[0-9]+|null))')
RERUNS = ("queued, full", "drawn", "480p 16:9 5", "succeeded, wire", "failed", "cancelled", "expired")


def read(answer: Any) -> list[Any]:
    """Return status and body of an answer, without what is fresh."""
    return [answer.status_code, FRESH.sub("", answer.content.decode())]


def main(manifest: dict[str, Any]) -> dict[str, Any]:
    """Return each answer, bill and submit by its name."""
    http = {name: http_client.with_key(key) for name, key in manifest["keys"].items()}
    answers: dict[str, Any] = {}
    for name, generation_id in manifest["generations"].items():
        for caller, client in http.items():
            path = f"/v1/generations/{generation_id}"
            answers[f"{caller} {name}"] = read(client.get(path))
            answers[f"{caller} {name}, events"] = read(client.get(f"{path}/events"))
            answers[f"{caller} {name}, wire"] = read(client.get(f"/v3/async/task-result?task_id={generation_id}"))
    for caller, client in http.items():
        answers[f"{caller} list"] = read(client.get("/v1/generations?limit=100"))
    for caller, path, body, key in manifest["replays"]:
        replayed = http[caller].post(path, body, format="json", headers={"Idempotency-Key": key})
        answers[f"{caller} replay {key}"] = read(replayed)
        changed = http[caller].post(path, {**body, "seed": 99}, format="json", headers={"Idempotency-Key": key})
        answers[f"{caller} reuse {key}"] = read(changed)
    with tempfile.TemporaryDirectory() as folder:
        for tenant in ("alice", "bob"):
            path = Path(folder, "bill.csv")
            call_command("tenant", "bill", tenant, "--month", manifest["filled_at"][:7], "--csv", str(path))
            answers[f"{tenant} bill"] = path.read_text().splitlines()
    answers["submits of reruns"] = rerun(manifest, http)
    return answers


def rerun(manifest: dict[str, Any], http: dict[str, Any]) -> dict[str, Any]:
    """Return the submit that each rerun leads to, as the upstream receives it."""
    generations = apps.get_model("generations.Generation").objects
    upstream, submits = Upstream(), {}
    upstream.on_submit = lambda handler: as_json({"task_id": f"rerun-{len(upstream.submits)}"})
    settings.NOVITA_BASE_URL = settings.SANDBOX_BASE_URL = upstream.url
    generations.filter(due_at__isnull=False).update(due_at="2100-01-01T00:00:00Z")
    for name in RERUNS:
        caller = "bob" if "wire" in name else "alice"
        again = http[caller].post(f"/v1/generations/{manifest['generations'][name]}/rerun", {}, format="json")
        assert again.status_code == 202, again.content
        row = take_step(generations.get(pk=again.json()["id"]))
        assert row.status == "running", (name, row.status, row.error_message)
        submits[name] = json.dumps(upstream.submits[-1])  # with the order of its fields
    upstream.stop()
    return submits


if __name__ == "__main__":
    facts = json.loads(Path(sys.argv[1]).read_text())
    moto.mock_aws().start()
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket=settings.S3_BUCKET)
    for key, (content_type, content) in facts["objects"].items():
        s3.put_object(Bucket=settings.S3_BUCKET, Key=key, Body=base64.b64decode(content), ContentType=content_type)
    found = main(facts)
    Path(sys.argv[2]).write_text(json.dumps(found, indent=1, sort_keys=True))
