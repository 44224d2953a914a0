"""Names of ours that others hold as text: queues, settings, roles, scripts, log searches.

Their holders do not move with the code, and only these tests show that one was left behind. A test that fails shows a
name that was changed: give the name back. A literal is changed only together with all that hold it.
"""

import argparse
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.management import BaseCommand, get_commands, load_command_class
from django.utils.module_loading import import_string
from django_q.models import OrmQ, Schedule

from seedance_service import settings, urls
from tests.support.factories import Caller

ROOT = Path(__file__).parents[2]
OURS = ("seedance_service", "tenants", "generations", "deploy")
SMALLEST = {"image": "https://pictures.example.com/a.png", "resolution": "480p"}


# -- the queue --------------------------------------------------------------------------------------------------------


def test_the_queue_calls_tasks_by_the_names_that_its_rows_hold(alice: Caller) -> None:
    """The rows of the schedules, and messages that are on their way while a release is replaced."""
    schedules = Schedule.objects.order_by("name").values_list("name", "func", "schedule_type", "minutes", "repeats")
    assert list(schedules) == [
        ("prune", "generations.tasks.prune", "H", None, -1),
        ("sweep", "generations.tasks.sweep", "I", 1, -1),
    ]
    assert all(callable(import_string(name)) for _, name, *_ in schedules)
    assert alice.http.post("/v1/generations", SMALLEST, format="json").status_code == 202
    assert [message.func() for message in OrmQ.objects.all()] == ["generations.tasks.sweep"]


# -- dotted paths -----------------------------------------------------------------------------------------------------

ROOTS = {*OURS, *(name.partition(".")[0] for name in settings.INSTALLED_APPS)}
NOT_PATHS = {"SILENCED_SYSTEM_CHECKS"}  # ids of checks, which look like paths


def texts(value: Any) -> Iterator[str]:
    """Yield each text that a setting holds, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts(list(value.items()))
    elif isinstance(value, list | tuple | set):
        for part in value:
            yield from texts(part)


def paths_of(module: ModuleType) -> set[str]:
    """Return the dotted paths of ours, and of libraries of ours, that the module's variables hold as text."""
    held = {name: value for name, value in vars(module).items() if not name.startswith("_") and name not in NOT_PATHS}
    found = {text for value in held.values() for text in texts(value) if re.fullmatch(r"\w+(\.\w+)+", text)}
    return {text for text in found if text.partition(".")[0] in ROOTS} - {module.__name__}


def served_by() -> set[str]:
    """Return the WSGI applications of the service that the files of deploy/ name."""
    files = [path for path in (ROOT / "deploy").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    named = {
        name for path in files for name in re.findall(r"seedance_service[\w.]*:\w+", path.read_text(errors="replace"))
    }
    return {name.replace(":", ".") for name in named}


PATHS = sorted(paths_of(settings) | paths_of(urls) | served_by())


@pytest.mark.parametrize("path", PATHS)
def test_a_dotted_path_leads_to_something(path: str) -> None:
    """Django and its libraries import these when a request comes, or never: a wrong one is found in production."""
    try:
        importlib.import_module(path)
    except ModuleNotFoundError:
        assert import_string(path)


def test_the_paths_that_deployments_hold_are_among_them() -> None:
    assert {"seedance_service.wsgi.application", "seedance_service.urls"} <= set(PATHS)
    assert len(PATHS) > 40


# -- models, roles ----------------------------------------------------------------------------------------------------

MODELS = {
    "generations": "Attempt AttemptSearch BilledProduct Delivery DeliveryAttempt Event Generation HourlyStatistics "
    "InputImage Label LimitWarning ListReader MaintenanceCursor ManualPause ModelState Pace Pause PollPause SeedRecord "
    "Slot StorageUse UndeletedObject UpstreamBill UpstreamBooks UsageSum UsageSumState WebhookEndpoint "
    "WebhookSecret Worker",
    "seedance_service": "StaffIdentity",
    "tenants": "ApiKey AuditEntry LedgerEntry RefusalCount Tenant Window",
}
WORK = "generation seedrecord pause worker webhookendpoint delivery"
ROLES = {
    "viewer": {"view": f"{WORK} tenant apikey"},
    "support": {
        "view": f"{WORK} tenant apikey auditentry",
        "add": "webhookendpoint",
        "change": "generation webhookendpoint delivery apikey",
    },
    "billing": {"view": "tenant apikey ledgerentry auditentry", "change": "tenant"},
    "owner": {
        "view": f"{WORK} tenant apikey ledgerentry auditentry user group",
        "add": "webhookendpoint tenant apikey user",
        "change": "generation webhookendpoint delivery tenant apikey user",
    },
}


def test_models_have_the_names_that_content_types_hold(db: None) -> None:
    """A renamed model gets a new content type, and its permissions with it: every role that was given loses them."""
    found = {name: {model.__name__ for model in apps.get_app_config(name).get_models()} for name in MODELS}
    assert found == {name: set(models.split()) for name, models in MODELS.items()}
    kinds = ContentType.objects.filter(app_label__in=MODELS).values_list("app_label", "model")
    assert set(kinds) >= {(name, model.lower()) for name, models in MODELS.items() for model in models.split()}


def test_roles_have_the_permissions_that_their_rows_hold(db: None) -> None:
    """Operators give roles to people; what each role may do is in rows, under the names of models."""
    for role, allowed in ROLES.items():
        found = Group.objects.get(name=role).permissions.values_list("codename", flat=True)
        assert set(found) == {f"{action}_{model}" for action in allowed for model in allowed[action].split()}


# -- commands ---------------------------------------------------------------------------------------------------------

LISTS = "--models --networks"
LIMITS = "--in-flight --per-day --per-month --requests-per-minute --seconds-per-month --usd-per-month"
POLICY = "--input-days --on-doubt --submit-deadline --video-days"
COMMANDS = {
    "createsuperuser": "--database --email --no-input --noinput --username",
    "doctor": "--json --models",
    "doubt": "",
    "doubt attach": "ID UPSTREAM_ID --attempt --json --reason",
    "doubt give-up": "ID --attempt --json --reason",
    "doubt list": "--json",
    "doubt release": "ID --attempt --json --reason",
    "doubt resubmit": "ID --attempt --json --reason",
    "generate": "IMAGE --aspect-ratio --audio --camera-fixed --duration --key --last-image --model --negative-prompt "
    "--output --poster --prompt --resolution --seed --set --url -o",
    "ledger": "ACTION --json --reason",
    "migrate": "APP_LABEL MIGRATION_NAME --check --database --fake --fake-initial --no-input --noinput --plan --prune "
    "--run-syncdb",
    "models": "",
    "models deprecate": "MODEL --json --reason --replacement --retires-at",
    "models hide": "MODEL --json --reason",
    "models list": "--json",
    "models restore": "MODEL --json --reason",
    "models retire": "MODEL --json --reason --replacement",
    "prune": "--dry-run --json --reason",
    "reconcile-bills": "--all --by --json --since --until",
    "reseal": "--reason",
    "second_factor": "",
    "second_factor reset": "USER --reason",
    "tenant": "",
    "submits": "",
    "submits cancel": "--account --all --json --key --model --older-than --reason --tenant --yes",
    "submits list": "--json",
    "submits pause": "--account --all --json --model --reason --tenant",
    "submits resume": "--account --all --json --model --reason --tenant",
    "tenant adjust": "NAME --json --reason --usd",
    "tenant bill": "NAME --csv --json --month --reason",
    "tenant create": f"NAME --json --reason --time-zone {LIMITS} {LISTS} {POLICY}",
    "tenant key": f"NAME --expires --json --label --reason --scope --test {LIMITS} {LISTS}",
    "tenant limit": f"WHO --json --reason --time-zone {LIMITS} {LISTS} {POLICY}",
    "tenant list": "--json --reason",
    "tenant resume": "NAME --json --reason",
    "tenant revoke": "PREFIX --cancel-queued --json --reason",
    "tenant roll": "PREFIX --json --overlap --reason",
    "tenant suspend": "NAME --cancel-queued --json --reason",
    "worker": "--once",
    "write_docs": "",
}
OF_EVERY_COMMAND = {
    option for action in BaseCommand().create_parser("", "")._actions for option in action.option_strings
}


Arguments = tuple[list[str], set[str]]  # the positional ones in their order, and the options


def arguments(name: str, parser: argparse.ArgumentParser) -> Iterator[tuple[str, Arguments]]:
    """Yield the arguments of a command, and those of each of its subcommands."""
    positional, options = [], set[str]()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, subparser in action.choices.items():
                yield from arguments(f"{name} {word}", subparser)
        elif action.option_strings:
            options |= set(action.option_strings)
        else:
            positional.append(action.dest.upper())
    yield name, (positional, options - OF_EVERY_COMMAND)


def expected(words: list[str]) -> Arguments:
    """Return the arguments that an entry of COMMANDS names: the positional ones stand in capitals."""
    return [word for word in words if word.isupper()], {word for word in words if not word.isupper()}


def test_commands_take_the_arguments_that_scripts_give_them() -> None:
    """Scripts, schedules, the runbook and containers call them."""
    ours = [(name, app) for name, app in get_commands().items() if app in OURS]
    parsers = [(name, load_command_class(app, name).create_parser("", name)) for name, app in ours]
    found = dict(command for name, parser in parsers for command in arguments(name, parser))
    assert found == {name: expected(text.split()) for name, text in COMMANDS.items()}
