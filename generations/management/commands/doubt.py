"""Generations whose submit's answer was lost, from the shell: see them, and say what became of them."""

import json
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from generations.models import Generation
from generations.ops import in_doubt
from tenants import amounts, times
from tenants.audit import Actor
from tenants.errors import Refusal
from tenants.management.options import user_name

ACTS: dict[str, Callable[..., None]] = {
    "attach": in_doubt.attach,
    "resubmit": in_doubt.resubmit,
    "release": in_doubt.release,
    "give-up": in_doubt.give_up,
}


class Command(BaseCommand):
    help = "Submits in doubt: list them; attach the upstream's task, resubmit, release or give up, with a reason."

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        shown: ArgumentParser = actions.add_parser("list", help="each with its age and the amount at risk")
        shown.add_argument("--json", action="store_true", help="print one JSON object")
        for name, verb in ACTS.items():
            act: ArgumentParser = actions.add_parser(name, help=(verb.__doc__ or "").split("\n")[0])
            act.add_argument("id", type=UUID, help="the generation's")
            if name == "attach":
                act.add_argument("upstream_id", help="the upstream's task id")
            act.add_argument(
                "--attempt", type=int, metavar="N", help="which one, as `list` shows it: no later one is meant"
            )
            act.add_argument("--reason", required=True, help="why, for the audit log")
            act.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        answer, lines = self._list() if options["action"] == "list" else self._act(options)
        self.stdout.write(json.dumps(answer) if options["json"] else "\n".join(lines))

    def _list(self) -> tuple[dict[str, Any], list[str]]:
        live = Generation.objects.filter(due_at__isnull=False)  # by an index
        rows = live.filter(status=Generation.Status.IN_DOUBT).select_related("tenant")
        found = [_shown(row) for row in rows.order_by("submitted_at")]
        lines = [
            f"{row['id']}  {row['tenant']}  attempt {row['attempt']}  seed {row['seed']}  sent {row['submitted_at']}  "
            f"{row['usd']} USD at risk"
            for row in found
        ]
        return {"in_doubt": found}, lines or ["Nothing is in doubt."]

    def _act(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        generation = Generation.objects.select_related("tenant").filter(pk=options["id"]).first()
        if generation is None:
            raise CommandError("There is no such generation.")
        extra = [options["upstream_id"]] if options["action"] == "attach" else []
        try:
            ACTS[options["action"]](
                Actor(name=f"shell:{user_name()}", reason=options["reason"]),
                generation,
                *extra,
                attempt=options["attempt"],
            )
        except Refusal as error:
            raise CommandError(str(error)) from error
        return {"id": str(generation.pk), "status": generation.status}, [f"{generation.pk} is {generation.status}."]


def _shown(row: Generation) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "tenant": row.tenant.name,
        "attempt": in_doubt.attempt_of(row),
        "seed": row.seed,
        "submitted_at": times.rfc3339(row.submitted_at, "seconds"),
        "usd": amounts.format_usd(row.price_micro),
    }
