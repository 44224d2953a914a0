"""The command `models`: list the models of the catalogue, and hide, deprecate, retire or restore one."""

import json
from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from generations.catalog import states, video_models
from generations.catalog.video_models import VideoModel
from generations.ops import model_states
from tenants.audit import Actor
from tenants.errors import Refusal
from tenants.management import options as parsers

SUBCOMMANDS = {
    "hide": "take a model out of the list that callers read; it works as before",
    "deprecate": "announce the end of a model",
    "retire": "refuse creates with a model from now on, and fail what is queued",
    "restore": "make a model active without an end",
}


class Command(BaseCommand):
    """The command; each subcommand has a function of its own."""

    help = "List the models of the catalogue; hide, deprecate, retire or restore one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the subcommands."""
        subparsers = parser.add_subparsers(dest="action", required=True)
        listing: ArgumentParser = subparsers.add_parser("list", help="list all models with state, end and replacement")
        listing.add_argument("--json", action="store_true", help="print one JSON object")
        for name, help_text in SUBCOMMANDS.items():
            subparser: ArgumentParser = subparsers.add_parser(name, help=help_text)
            subparser.add_argument("model", choices=sorted(video_models.models()), metavar="MODEL")
            subparser.add_argument("--reason", required=True, help="the reason, for the audit log")
            subparser.add_argument("--json", action="store_true", help="print one JSON object")
            if name == "deprecate":
                day_help = "the first day without the model, such as 2027-01-31, in UTC"
                subparser.add_argument("--retires-at", type=date.fromisoformat, metavar="DAY", help=day_help)
            if name in ("deprecate", "retire"):
                subparser.add_argument("--replacement", default="", metavar="MODEL", help="the model to use instead")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the subcommand and print its output. Raise CommandError for a refusal."""
        if options["action"] == "list":
            rows = [_as_json(model) for model in video_models.models().values()]
            self._print(options, {"models": rows}, [_as_line(row) for row in rows])
            return
        actor, model = Actor(f"shell:{parsers.user_name()}", options["reason"]), video_models.models()[options["model"]]
        try:
            more = _act(actor, model, options)
        except Refusal as error:
            raise CommandError(str(error)) from error
        row = _as_json(model)
        self._print(options, {**row, **more}, [_as_line(row), *_describe(more)])

    def _print(self, options: dict[str, Any], body: dict[str, Any], lines: list[str]) -> None:
        self.stdout.write(json.dumps(body) if options["json"] else "\n".join(lines))


def _act(actor: Actor, model: VideoModel, options: dict[str, Any]) -> dict[str, int]:
    """Perform the subcommand. Return what else it did, in numbers. Raise NotPossible."""
    match options["action"]:
        case "hide":
            model_states.hide(actor, model)
        case "deprecate":
            model_states.deprecate(actor, model, options["retires_at"], options["replacement"])
        case "retire":
            return {"queued": model_states.retire(actor, model, options["replacement"])}
        case "restore":
            model_states.restore(actor, model)
    return {}


def _describe(more: dict[str, int]) -> list[str]:
    """Return for people what else the subcommand did."""
    return [f"{count} queued generations fail, and their holds are released." for count in more.values()]


def _as_json(model: VideoModel) -> dict[str, str | None]:
    """Return the state of a model."""
    status = states.read(model)
    day = status.retires_at.isoformat() if status.retires_at else None
    facts = {"state": str(status.state), "retires_at": day, "replacement": status.replacement}
    return {"id": model.id, "task": model.row.task, **facts}


def _as_line(row: dict[str, str | None]) -> str:
    """Return the state of a model for people."""
    end = f"  retires {row['retires_at']}" if row["retires_at"] else ""
    successor = f"  replaced by {row['replacement']}" if row["replacement"] else ""
    return f"{row['id']:24} {row['task']}  {row['state']:10}{end}{successor}".rstrip()
