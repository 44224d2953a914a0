"""The command `models`: what operators do with a model from the shell."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from generations.models import ModelState
from tenants.models import AuditEntry

LITE, PRO = "seedance-v1-lite-i2v", "seedance-v1-pro-i2v"


def run(*words: str) -> Any:
    """Run the command with `--json`, and return what it prints."""
    out = StringIO()
    call_command("models", *words, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_a_model_is_deprecated_retired_and_restored(db: None) -> None:
    row = run("deprecate", LITE, "--retires-at", "2099-01-31", "--replacement", PRO, "--reason", "a notice")
    facts = {"id": LITE, "task": "i2v", "replacement": PRO}
    assert row == {**facts, "state": "deprecated", "retires_at": "2099-01-31"}
    assert run("hide", LITE, "--reason", "quietly")["state"] == "hidden"
    retired = run("retire", LITE, "--reason", "today")
    assert (retired["state"], retired["replacement"], retired["queued"]) == ("retired", PRO, 0)
    assert run("restore", LITE, "--reason", "it lives") == {
        "id": LITE,
        "task": "i2v",
        "state": "active",
        "retires_at": None,
        "replacement": None,
    }
    assert AuditEntry.objects.filter(action__startswith="model: ", actor__startswith="shell:").count() == 4


def test_the_list_has_each_model_with_its_state(db: None) -> None:
    rows = {row["id"]: row for row in run("list")["models"]}
    assert rows[LITE]["state"] == "active"
    assert rows["wan2.6-i2v"] == {
        "id": "wan2.6-i2v",
        "task": "i2v",
        "state": "retired",
        "retires_at": "2026-09-30",
        "replacement": "kling-v3.0-pro-i2v",
    }
    out = StringIO()
    call_command("models", "list", stdout=out)
    assert (
        "wan2.6-i2v               i2v  retired     retires 2026-09-30  replaced by kling-v3.0-pro-i2v" in out.getvalue()
    )


def test_a_refusal_is_a_sentence(db: None) -> None:
    with pytest.raises(CommandError, match="A model can not take its own place"):
        run("retire", LITE, "--replacement", LITE, "--reason", "a mistake")
    assert not ModelState.objects.exists()
