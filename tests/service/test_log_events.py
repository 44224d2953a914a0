"""Events and fields of the log that searches, dashboards and alerts of operators hold as text.

Their holders do not learn of a change, so no name changes. A test that fails shows a renamed event or field: give
its name back. A name that is removed for good is removed here too, and named in the change log.
"""

import ast
import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from seedance_service.logs import RedactingFormatter
from tests.http_client import Client
from tests.support.factories import Caller
from tests.support.receiver import run_receiver
from tests.support.webhooks import attempt_all, make_endpoint, make_failed

ROOT = Path(__file__).parents[2]
OURS = ("seedance_service", "tenants", "generations", "deploy")
SMALLEST = {"image": "https://pictures.example.com/a.png", "resolution": "480p"}
ALWAYS = {"timestamp", "level", "logger", "event"}
LINES = {
    "request": {"action", "path", "status", "tenant", "key", "duration_ms", "request_id"},
    "move": {"action", "tenant", "generation", "seed", "why", "duration_ms", "request_id"},
    "webhook": {"action", "status_code", "tenant", "delivery", "generation", "type", "attempt", "duration_ms"},
    "panel": {"action", "path", "status", "user", "duration_ms", "request_id"},
}
EVENTS = {
    *LINES,
    "S3 is in trouble",
    "a company login",
    "a company login came to nothing",
    "a create could not be announced or counted",
    "a delivery failed",
    "a password was sent, and passwords are off",
    "a recovery code was used",
    "a second factor was set up",
    "a second factor was taken away",
    "a step came to nothing",
    "a search for a lost answer",
    "a step failed",
    "a task is paid for, and its generation is over",
    "a video cost more than was held",
    "a webhook endpoint is disabled",
    "a webhook's secret can not be opened",
    "a wrong second factor",
    "an answer of the upstream could not be recorded; again in a second",
    "an answer is about another task",
    "answer",
    "it is not known what became of it",
    "its failure could not be recorded",
    "its whole process group is killed, and started again",
    "no URL can be signed",
    "nobody can wait",
    "polls are paused",
    "polls go on as usual",
    "pruned",
    "recovery codes were replaced",
    "slow callers could not be cut off",
    "slow callers were cut off",
    "something is not well",
    "submits are paused",
    "submits go out again",
    "the bucket does not let it be pruned",
    "the bucket's clients can not be made",
    "the database does not answer the worker's supervisor",
    "the database does not tell what has ended",
    "the database is in trouble",
    "the route of a model is gone",
    "the ring was lost; the schedule rings within the minute",
    "the secret before the present one can not be opened",
    "the times of a kind could not be read",
    "the upstream reported no usage",
    "what is over could not be removed, or counted; the next sweep tries again",
    "what this process counts is not served",
    "what was deleted is still in the bucket",
    "where the bucket is can not be found out for the panel",
}


@pytest.mark.django_db(transaction=True)
def test_log_lines_have_the_fields_that_searches_name(alice: Caller, admin_client: Client, settings: Any) -> None:
    """Dashboards and alerts of the log are built on what deploy/RUNBOOK.md says about these four."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(RedactingFormatter())
    logging.getLogger().addHandler(handler)
    try:
        with run_receiver(settings) as receiver:
            make_endpoint(alice, receiver.url)
            alice.http.post("/v1/generations", SMALLEST, format="json")
            make_failed(alice)
            attempt_all()
        admin_client.get("/admin/")
    finally:
        logging.getLogger().removeHandler(handler)
    found: dict[str, set[str]] = {}
    for line in map(json.loads, out.getvalue().splitlines()):
        found.setdefault(line["event"], set()).update(line)
    assert {event: found[event] - ALWAYS for event in LINES} == LINES


def events() -> set[str]:
    """Return the first argument of each call of a logger in the product, also where it is a constant of the module."""
    found = set()
    for path in (path for folder in OURS for path in (ROOT / folder).rglob("*.py")):
        module, constants = ast.parse(path.read_text()), dict[str, str]()
        for node in ast.walk(module):
            match node:
                case ast.Assign(targets=[ast.Name(name)], value=ast.Constant(str(text))):
                    constants[name] = text
                case ast.Call(
                    func=ast.Attribute(value=ast.Name("log" | "logger"), attr=level),
                    args=[ast.Name(name), *_],
                ) if level in ("debug", "info", "warning", "error", "exception"):
                    found.add(constants.get(name, name))
                case ast.Call(
                    func=ast.Attribute(value=ast.Name("log" | "logger"), attr=level),
                    args=[ast.Constant(str(event)), *_],
                ) if level in ("debug", "info", "warning", "error", "exception"):
                    found.add(event)
    return found


def test_log_events_have_the_names_that_searches_hold() -> None:
    assert EVENTS - events() == set()
