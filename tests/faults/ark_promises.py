"""What the report promises of Ark's wire: lost answers are found without people, and usage is what is charged."""

from collections.abc import Iterable
from typing import Any

from tests.faults.ark_tasks import TOKENS, ArkTask
from tests.faults.lab import ARK_MODEL, Lab
from tests.faults.promise import Promise

ACCOUNT = "ark"  # the one with a list
LOST = ["in_doubt", "found", "not_found"]  # outcomes of attempts whose answers were lost
MICRO_PER_TOKEN = 7  # 7.00 USD per million tokens of 480p and 720p


def promises(lab: Lab, rows: Iterable[Any]) -> list[Promise]:
    """Check the promises by the upstream's own count, the database and the ledger."""
    from generations.models import Attempt

    own = [row for row in rows if row.model == ARK_MODEL]
    by_task = {row.upstream_id: row for row in own if row.upstream_id}
    last = {row.seed: row for row in own}
    charged = [row for row in own if row.status == "succeeded"]
    tasks = lab.ark.tasks
    return [
        Promise(
            "G31 a lost answer is found without people where there is a list",
            Attempt.objects.filter(account=ACCOUNT, outcome__in=LOST).count(),
            "answers lost",
            [f"{row} is {row.status} {row.error_code}" for row in own if row.account == ACCOUNT and _is_left(row)],
        ),
        Promise(
            "G6 each task of the account with a list is a generation's",
            len(tasks.by_id),
            "tasks",
            [
                f"{task.id} of seed {task.seed}: {_state(last.get(task.seed))}"
                for task in tasks.by_id.values()
                if (row := by_task.get(task.id)) is None or row.seed != task.seed
                if not _has_ended_before(last.get(task.seed))
            ],
        ),
        Promise("G6 no record of a finished task was deleted there", len(tasks.by_id), "tasks", tasks.deleted),
        Promise(
            "G8 what is charged is the usage at its rate, or the quote",
            len(charged),
            "charges",
            list(_wrong_charges(lab, charged)),
        ),
        Promise(
            "G18 the account got its own key",
            sum(tasks.received.values()) + tasks.polls + tasks.pages,
            "requests",
            ["another key"] * tasks.wrong_keys,
        ),
    ]


def count_lost() -> str:
    """Return the outcomes of the lost answers at the account with the list."""
    from generations.models import Attempt

    outcomes = {name: Attempt.objects.filter(account=ACCOUNT, outcome=name).count() for name in LOST}
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in outcomes.items())


def _is_left(row: Any) -> bool:
    """Return whether the generation waits for people, or has waited in vain."""
    return bool(row.status == "in_doubt" or row.error_code == "submit_unconfirmed")


def _has_ended_before(row: Any) -> bool:
    """Return whether the generation was cancelled before its task was found."""
    return row is not None and row.status == "cancelled"


def _state(row: Any) -> str:
    return f"{row.status} {row.error_code} with {row.upstream_id}" if row else "no generation"


def _wrong_charges(lab: Lab, rows: Iterable[Any]) -> Iterable[str]:
    """Yield the charges that are not what the upstream has reported at the rate of the model."""
    from tenants.models import LedgerEntry

    kinds = ["hold", "capture"]
    entries = LedgerEntry.objects.filter(kind__in=kinds).values_list("generation_id", "kind", "amount_micro")
    amounts = {(pk, kind): abs(amount) for pk, kind, amount in entries}
    quote = -(-864 * 496 * 121 * MICRO_PER_TOKEN // 1024)
    for row in rows:
        task = _task_of(lab, row.upstream_id)
        if task is None:
            yield f"{row} has succeeded with an unknown task {row.upstream_id}"
            continue
        expected = quote if task.tokens is None else task.tokens * MICRO_PER_TOKEN
        found = amounts.get((row.pk, "hold")), amounts.get((row.pk, "capture"))
        if found != (quote, expected):
            yield f"{row}: held and charged {found}, and not {(quote, expected)} ({task.usage}, {TOKENS} tokens)"


def _task_of(lab: Lab, upstream_id: str) -> ArkTask | None:
    return lab.ark.tasks.by_id.get(upstream_id) or lab.upstream.metered.by_id.get(upstream_id)
