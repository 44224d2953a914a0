"""The command `submits`: pause and resume submits by hand, and cancel what is queued, from the shell."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from generations.catalog import video_models
from generations.models import ManualPause
from generations.ops import submit_pauses
from generations.upstream import circuit_breaker, manual_pauses
from tenants import times
from tenants.audit import Actor
from tenants.db import clock
from tenants.errors import Refusal
from tenants.management import options as parsers
from tenants.models import ApiKey, Tenant

Scope = ManualPause.Scope
ACCOUNT_HELP = "an account, or live: all but the sandbox"


class Command(BaseCommand):
    """The command; each subcommand is a method of the same name, which returns what is printed."""

    help = "Pause and resume submits: all of them, or those of an account, a tenant or a model; cancel what is queued."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the subcommands."""
        subparsers = parser.add_subparsers(dest="action", required=True)
        for name, help_text in {"pause": "hold submits until `resume`", "resume": "end a pause of submits"}.items():
            subparser: ArgumentParser = subparsers.add_parser(name, help=help_text)
            scope = subparser.add_mutually_exclusive_group(required=True)
            scope.add_argument("--all", action="store_true", help="all submits")
            scope.add_argument(
                "--account", choices=submit_pauses.account_targets(), help="an account, or live: all but the sandbox"
            )
            scope.add_argument("--tenant", metavar="NAME")
            scope.add_argument("--model", choices=sorted(video_models.models()))
            subparser.add_argument("--reason", required=True, help="the reason, for the audit log")
            subparser.add_argument("--json", action="store_true", help="print one JSON object")
        cancel: ArgumentParser = subparsers.add_parser("cancel", help="cancel queued generations; nothing was paid")
        cancel.add_argument("--tenant", metavar="NAME")
        cancel.add_argument("--key", metavar="PREFIX")
        cancel.add_argument("--model", choices=sorted(video_models.models()))
        cancel.add_argument(
            "--account", choices=submit_pauses.account_targets(), help="an account, or live: all but the sandbox"
        )
        cancel.add_argument("--older-than", type=parsers.parse_duration, metavar="TIME", help="such as 30m, 24h, 90d")
        cancel.add_argument("--all", action="store_true", help="without a filter: all that is queued")
        cancel.add_argument("--yes", action="store_true", help="cancel; without it, only count")
        cancel.add_argument("--reason", default="", help="the reason, for the audit log")
        cancel.add_argument("--json", action="store_true", help="print one JSON object")
        listing: ArgumentParser = subparsers.add_parser("list", help="list the pauses, by hand and by the upstream")
        listing.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run the subcommand and print its output. Raise CommandError for a refusal."""
        self._actor = Actor(name=f"shell:{parsers.user_name()}", reason=options.get("reason", ""))
        run = {"list": self.list_all}.get(options["action"]) or getattr(self, options["action"])
        try:
            row, lines = run(options)
        except Refusal as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps(row) if options["json"] else "\n".join(lines))

    def pause(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Pause submits."""
        held = submit_pauses.pause_submits(self._actor, *_scope(options))
        line = f"Submits are paused: {held.queued} queued generations are held, {held.submitting} are being submitted."
        return {"paused": True, "queued": held.queued, "submitting": held.submitting}, [line]

    def resume(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """End a pause of submits."""
        count = submit_pauses.resume_submits(self._actor, *_scope(options))
        return {"paused": False, "released": count}, [f"Submits go on: {count} generations waited."]

    def cancel(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Cancel the queued generations of a filter, or count them."""
        condition, description, tenant = _filter(options)
        if not (description or options["all"]):
            raise CommandError("Name a filter, or --all for all that is queued.")
        if not options["yes"]:
            count = submit_pauses.count_queued(condition)
            return {"queued": count}, [f"{count} queued generations match. With --yes and --reason they are cancelled."]
        count = submit_pauses.cancel_queued(self._actor, condition, description, tenant)
        return {"cancelled": count}, [f"{count} queued generations were cancelled, and their holds released."]

    def list_all(self, options: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """List the pauses that operators ordered, and those of the circuit breakers that hold work back."""
        by_hand = [
            {
                "scope": pause.scope,
                "target": pause.target,
                "since": times.rfc3339(pause.since, "seconds"),
                "actor": pause.actor,
                "reason": pause.reason,
            }
            for pause in ManualPause.objects.order_by("since")
        ]
        by_upstream = [
            {"upstream": name, "since": times.rfc3339(pause.since, "seconds"), "reason": pause.reason}
            for name, pause in circuit_breaker.find_holding().items()
        ]
        lines = [
            f"{row['scope']} {row['target']}  since {row['since']}  {row['actor']}: {row['reason']}" for row in by_hand
        ]
        lines += [f"upstream {row['upstream']}  since {row['since']}  {row['reason']}" for row in by_upstream]
        return {"paused": by_hand, "upstreams": by_upstream}, lines or ["Submits are not paused."]


def _scope(options: dict[str, Any]) -> tuple[str, str]:
    """Return the scope and the target of a pause."""
    if options["tenant"]:
        return Scope.TENANT, str(_find_tenant(options["tenant"]).pk)
    if options["account"]:
        return Scope.ACCOUNT, options["account"]
    return (Scope.MODEL, options["model"]) if options["model"] else (Scope.ALL, "")


def _filter(options: dict[str, Any]) -> tuple[Q, dict[str, Any], Tenant | None]:
    """Return the condition of a cancel, the same for the audit log, and its tenant."""
    condition, description, tenant = Q(), dict[str, Any](), None
    if options["tenant"]:
        tenant = _find_tenant(options["tenant"])
        condition, description = Q(tenant=tenant), {"tenant": tenant.name}
    if options["key"]:
        key = ApiKey.objects.filter(prefix=options["key"]).first()
        if key is None:
            raise CommandError("There is no key with that prefix; `tenant list` shows all keys.")
        condition, description = condition & Q(api_key=key), {**description, "key": key.prefix}
    if options["model"]:
        condition, description = condition & Q(model=options["model"]), {**description, "model": options["model"]}
    if options["account"]:
        account = manual_pauses.held_by(Scope.ACCOUNT, options["account"])
        condition, description = condition & account, {**description, "account": options["account"]}
    if options["older_than"]:
        before = clock.now() - options["older_than"]
        condition &= Q(created_at__lt=before)
        description["created_before"] = times.rfc3339(before, "seconds")
    return condition, description, tenant


def _find_tenant(name: str) -> Tenant:
    """Return the tenant of that name. Raise CommandError if there is none."""
    tenant = Tenant.objects.filter(name=name).first()
    if tenant is None:
        raise CommandError(f"There is no tenant named {name!r}.")
    return tenant
