"""Serve the balance and the hourly bills of Novita's account: each video that was made costs what the catalogue says.

A task that is created past the service is billed too, as upstream. SANDBOX_BALANCE is what the account began with, in
USD.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from deploy.sandbox import ark_tasks, novita, shared
from deploy.sandbox.novita import Refused
from deploy.sandbox.store import ArkTask, Stage, Task

FIRST_BALANCE = round(Decimal(os.environ.get("SANDBOX_BALANCE", "100")) * 10_000)  # units of 0.0001 USD
MICRO = 100  # micro-USD of such a unit
HOUR, MAX_SPAN = 3600, 7 * 86_400  # seconds


def answer(view: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], HttpResponse]:
    """Return the view with a check of the key, and errors in Novita's envelope."""

    def wrapped(request: HttpRequest) -> HttpResponse:
        try:
            novita.authorize(request)
            return JsonResponse(view(request))
        except Refused as refused:
            return refused.render()

    return wrapped


@answer
def balance(_request: HttpRequest) -> dict[str, str]:
    """Return what is left of the first balance."""
    spent = sum(task.cost_micro for task in _billed()) // MICRO
    left = str(FIRST_BALANCE - spent)
    return {"availableBalance": left, "cashBalance": left, "creditLimit": "0", "outstandingInvoices": "0"}


@answer
def bills(request: HttpRequest) -> dict[str, list[dict[str, str]]]:
    """Return a row for each hour, key and product in the span of the query."""
    query = request.GET
    if query.get("cycleType") != "Hour":
        raise Refused(400, "INVALID_BILL_CYCLE", "the sandbox bills by the hour")
    if query.get("category") != "gen_api":
        raise Refused(400, "INVALID_PRODUCT_CATEGORY", "the sandbox bills gen_api")
    since, until = _seconds(query.get("startTime")), _seconds(query.get("endTime"))
    if not 0 <= until - since <= MAX_SPAN:
        raise Refused(400, "INVALID_TIME_RANGE", "a span of hours has at most 7 days")
    groups: defaultdict[tuple[int, str, str], list[Task]] = defaultdict(list)
    for task in _billed():
        groups[_hour(task), task.owner, _product(task)].append(task)
    owner = query.get("ownerId", "")
    rows = sorted((name, tasks) for name, tasks in groups.items() if since <= name[0] < until)
    return {"bills": [_row(*name, tasks) for name, tasks in rows if owner in ("", name[1])]}


def _seconds(text: str | None) -> int:
    if not text or not text.isdecimal() or len(text) > 11:
        raise Refused(400, "INVALID_TIME_RANGE", "startTime and endTime are seconds since the epoch")
    return int(text)


def _billed() -> Iterable[Task]:
    """Return the tasks whose videos were made, and which are Novita's to bill."""
    return [task for task in shared.store.tasks() if _is_billed(task)]


def _is_billed(task: Task) -> bool:
    if isinstance(task, ArkTask):
        return task.account == shared.BILLED_ACCOUNT and (
            task.deleted_at is not None or ark_tasks.status_of(task) == "succeeded"
        )
    return shared.store.stage(task) == Stage.RENDERED and "[fail]" not in task.prompt


def _hour(task: Task) -> int:
    """Return the start of the hour in which the task ended."""
    ended_at = int(task.created_at + shared.store.seconds(task))
    return ended_at - ended_at % HOUR


def _product(task: Task) -> str:
    return task.target if isinstance(task, ArkTask) else task.model


def _row(hour: int, owner: str, product: str, tasks: list[Task]) -> dict[str, str]:
    """Return a row of the bill. The upstream has more fields; these are those that the service reads."""
    amount = str(round(sum(task.cost_micro for task in tasks) / MICRO))
    return {
        "startTime": str(hour),
        "endTime": str(hour + HOUR),
        "productName": product,
        "category": "gen_api",
        "ownerID": owner,
        "billNum0": str(len(tasks)),
        "amount": amount,
        "voucherAmount": "0",
        "payAmount": amount,
    }


urlpatterns = [
    path("openapi/v1/billing/balance/detail", balance),
    path("openapi/v1/billing/apikey/bill/list", bills),
]
