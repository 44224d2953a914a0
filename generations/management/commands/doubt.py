"""The command `doubt`: list generations in doubt and resolve them, from the shell."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from generations.models import Generation
from generations.ops import in_doubt
from tenants import amounts, times
from tenants.errors import Refusal
from tenants.management.options import shell_actor

ACTIONS: dict[str, Callable[..., None]] = {
    "attach": in_doubt.attach,
    "resubmit": in_doubt.resubmit,
    "release": in_doubt.release,
    "give-up": in_doubt.give_up,
}


class Command(BaseCommand):
    """List generations in doubt, or resolve one of them."""

    help = "List generations in doubt, or resolve one: attach the upstream's task, resubmit, release or give up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add a subcommand for the list and for each action."""
        subcommands = parser.add_subparsers(dest="action", required=True)
        listing: ArgumentParser = subcommands.add_parser(
            "list", help="List generations in doubt, with the amount at risk."
        )
        listing.add_argument("--json", action="store_true", help="print one JSON object")
        for name, action in ACTIONS.items():
            subparser: ArgumentParser = subcommands.add_parser(name, help=(action.__doc__ or "").split("\n")[0])
            subparser.add_argument("id", type=UUID, help="the generation's id")
            if name == "attach":
                subparser.add_argument(
                    "upstream_id", nargs="?", help="the upstream's task id; without it, the one that the answer names"
                )
            subparser.add_argument(
                "--attempt",
                type=int,
                metavar="N",
                help="the attempt that you examined, as `list` prints it: the action is refused after a later one",
            )
            subparser.add_argument("--reason", required=True, help="the reason, for the audit log")
            subparser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the list, or resolve a generation and print its status."""
        content, lines = self._list() if options["action"] == "list" else self._resolve(options)
        self.stdout.write(json.dumps(content) if options["json"] else "\n".join(lines))

    def _list(self) -> tuple[dict[str, Any], list[str]]:
        """Return the generations in doubt, oldest submit first, as JSON and as lines."""
        live = Generation.objects.filter(due_at__isnull=False)  # the condition of an index
        generations = live.filter(status=Generation.Status.IN_DOUBT).select_related("tenant")
        rows = [_row_as_json(generation) for generation in generations.order_by("submitted_at")]
        lines = [
            f"{row['id']}  {row['tenant']}  attempt {row['attempt']}  seed {row['seed']}  "
            f"submitted {row['submitted_at']}  {row['usd']} USD at risk"
            + (f"  the answer names task {row['upstream_id']}" if row["upstream_id"] else "")
            + (f"  last search: {row['last_search']}" if row["last_search"] else "")
            for row in rows
        ]
        return {"in_doubt": rows}, lines or ["No generation is in doubt."]

    def _resolve(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Resolve one generation and return its new status as JSON and as a line. Raise CommandError."""
        generation = Generation.objects.select_related("tenant").filter(pk=options["id"]).first()
        if generation is None:
            raise CommandError("There is no such generation.")
        actor = shell_actor(options["reason"])
        extra = []
        if options["action"] == "attach":
            extra = [options["upstream_id"] or in_doubt.find_named_task(generation)]
            if not extra[0]:
                raise CommandError("The answer names no task. Give the upstream's task id.")
        try:
            ACTIONS[options["action"]](actor, generation, *extra, attempt=options["attempt"])
        except Refusal as error:
            raise CommandError(str(error)) from error
        return {"id": str(generation.pk), "status": generation.status}, [f"{generation.pk} is {generation.status}."]


def _row_as_json(generation: Generation) -> dict[str, Any]:
    """Return what the list prints of a generation."""
    last = in_doubt.find_last_search(generation)
    return {
        "id": str(generation.pk),
        "tenant": generation.tenant.name,
        "attempt": in_doubt.count_attempts(generation),
        "seed": generation.seed,
        "submitted_at": times.rfc3339(generation.submitted_at, "seconds"),
        "usd": amounts.format_usd(generation.price_micro),
        "upstream_id": in_doubt.find_named_task(generation),  # "" if the answer names no task
        "last_search": last.describe() if last else None,
    }
