"""Four processes of many threads that create generations at one moment in one database, as web processes do.

This module imports nothing of Django at the top: each process sets up Django for the database of the test.
"""

import multiprocessing
import os
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

PROCESSES, THREADS = 4, 25
CALLERS = PROCESSES * THREADS
# PostgreSQL accepts 100 connections by default. A thread without one waits for one, as a web thread does.
CONNECTIONS = 20  # in each process
MAX_WAIT_SECONDS = 120.0
WARNED = "warned"  # each thread writes the warnings that are due after its create, as a worker does
MIXED = "mixed"  # every other thread creates with the body of the other model
OTHER_CALLERS = PROCESSES * (THREADS // 2)
OTHER_MODEL, OTHER_BODY = "kling-v3.0-std-t2v", {"prompt": "a ship", "duration": 3}
BODY = {"image": "https://pictures.example.com/a.png", "resolution": "480p", "aspect_ratio": "16:9", "duration": 5}


@dataclass
class Outcome:
    """The results of the creates of one process."""

    admitted: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)
    used_when_lowered: int | None = None

    def __add__(self, other: "Outcome") -> "Outcome":
        lowered = self.used_when_lowered if other.used_when_lowered is None else other.used_when_lowered
        errors = self.errors + other.errors
        return Outcome(self.admitted + other.admitted, self.refused + other.refused, errors, lowered)


class Racers:
    """The processes, and the barrier that starts all their threads at once."""

    def __init__(self, database_url: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        self._barrier = spawn.Barrier(CALLERS)  # a reference is needed: without one its semaphores are deleted
        for _ in range(PROCESSES):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(theirs, self._barrier, database_url), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def race(self, key_id: int, how: str = "intake", lower_to: int | None = None) -> Outcome:
        """Create in all threads at one moment. `lower_to` lowers the limit of the tenant at the same moment."""
        for pipe in self._pipes:
            pipe.send(("race", key_id, how, lower_to if pipe is self._pipes[0] else None))
        return sum((_answer(pipe) for pipe in self._pipes), Outcome())

    def call(self, name: str, *args: Any) -> Any:
        """Call a function of `_serve` in the first process, and return its result."""
        self._pipes[0].send((name, *args))
        return _answer(self._pipes[0])

    def stop(self) -> None:
        """Stop the processes."""
        for pipe in self._pipes:
            pipe.send(("stop",))
        for process in self._processes:
            process.join(MAX_WAIT_SECONDS)
            process.kill()


def _answer(pipe: Connection) -> Any:
    """Return the answer of a process, or raise the error that it sent."""
    assert pipe.poll(MAX_WAIT_SECONDS), "A process does not answer."
    answer = pipe.recv()
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _serve(pipe: Connection, barrier: Any, database_url: str) -> None:
    """Answer the calls that arrive by the pipe, in a process with its own Django, until "stop"."""
    import tests.support.environment  # noqa: F401 the rest of the environment

    os.environ["DATABASE_URL"] = database_url
    import django

    django.setup()
    calls = {"race": lambda *args: _race(barrier, *args), "migrate": migrate, "tenant": make_tenant, "facts": facts}
    calls["warnings"] = warnings
    while (message := pipe.recv())[0] != "stop":
        try:
            pipe.send(calls[message[0]](*message[1:]))
        except Exception as error:
            pipe.send(AssertionError(repr(error)))


def migrate() -> None:
    """Create the tables."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def make_tenant(limits: dict[str, int], of_key: bool) -> int:
    """Create a tenant with one key, and return the id of the key. The limits are of the key or of the tenant."""
    import uuid

    from generations.webhooks import endpoints
    from tenants import actions, audit
    from tenants.models import ApiKey

    actor = audit.Actor(name="races")
    tenant = actions.create_tenant(actor, uuid.uuid4().hex, **({} if of_key else limits))
    new = actions.create_key(actor, tenant, limits=limits if of_key else {})
    endpoints.create(actor, tenant, "https://hooks.example.com/races", test=False)
    return ApiKey.objects.get(prefix=new.prefix).pk


def facts(key_id: int) -> dict[str, Any]:
    """Count the generations of a race, the minutes in which they were created, and the errors in the ledger.

    `models` has the number by model, and `usd_micro` what the month's budget counts.
    """
    from collections import Counter

    from generations.models import Generation
    from tenants.models import ApiKey, Window
    from tenants.money import reconcile

    tenant_id = ApiKey.objects.get(pk=key_id).tenant_id
    created = list(Generation.objects.filter(tenant=tenant_id).values_list("created_at", "model"))
    minutes = len({at.replace(second=0, microsecond=0) for at, _ in created})
    budgets = Window.objects.filter(tenant=tenant_id, api_key=None, kind="usd_per_month")
    return {
        "generations": len(created),
        "models": Counter(model for _, model in created),
        "minutes": minutes,
        "usd_micro": sum(budgets.values_list("used", flat=True)),
        "differences": len(reconcile.check(tenant_id)),
    }


def warnings(key_id: int) -> list[list[int]]:
    """Return the shares that were warned of, and those of the events for the tenant's endpoint, in their order."""
    import json

    from generations.models import Delivery, LimitWarning

    tenant = _key(key_id).tenant
    bodies = Delivery.objects.filter(tenant=tenant, type="limit.threshold").values_list("body", flat=True)
    written = LimitWarning.objects.filter(tenant=tenant).values_list("percent", flat=True)
    return [sorted(written), sorted(json.loads(body)["data"]["percent"] for body in bodies)]


def _race(barrier: Any, key_id: int, how: str, lower_to: int | None) -> Outcome:
    """Create once in each thread, all at one moment."""
    outcome, connections, lock = Outcome(), threading.BoundedSemaphore(CONNECTIONS), threading.Lock()

    def call(number: int) -> None:
        from django.db import DatabaseError, connection

        from tenants.errors import LimitReached

        barrier.wait(MAX_WAIT_SECONDS)
        with connections:
            try:
                if lower_to is not None and number == 0:
                    outcome.used_when_lowered = _lower(key_id, lower_to)
                    return
                _create_how(key_id, how, number)
                with lock:
                    outcome.admitted += 1
            except LimitReached:
                with lock:
                    outcome.refused += 1
            except (DatabaseError, AssertionError) as error:
                outcome.errors.append(repr(error))
            finally:
                connection.close()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def _create_how(key_id: int, how: str, number: int) -> None:
    """Create in the way that the race is about: as the API does, with the other model too, or in the naive way."""
    if how not in ("intake", MIXED, WARNED):
        _create_naively(key_id, how)
        return
    from generations.intake import create
    from generations.ops import limit_warnings

    try:
        create.create_generation(_key(key_id), _request_of_other() if how == MIXED and number % 2 else _request())
    finally:
        if how == WARNED:
            limit_warnings.write()


def _create_naively(key_id: int, how: str) -> None:
    """Create a generation in the naive way: count, then insert."""
    from generations.intake import create
    from generations.models import Generation
    from tenants.errors import LimitReached

    key, limit = _key(key_id), int(how)
    if Generation.objects.filter(tenant=key.tenant_id).count() >= limit:
        raise LimitReached(limit_name="", holder="", limit=0, used=0, remaining=0, required=0, remedy="")
    generation = create._draft(key, _request())
    generation.image_url = BODY["image"]
    generation.due_at = generation.created_at
    generation.save(force_insert=True)


def _lower(key_id: int, to: int) -> int:
    """Lower the tenant's limit, and return how many generations were in flight at that moment."""
    from django.db import transaction

    from tenants import actions, audit
    from tenants.models import Window

    tenant = _key(key_id).tenant
    with transaction.atomic():
        actions.change_tenant(audit.Actor(name="races"), tenant, in_flight=to)
        used = Window.objects.filter(tenant=tenant, api_key=None, kind="in_flight").values_list("used", flat=True)
        return used.first() or 0


def _key(key_id: int) -> Any:
    """Return the key with its tenant."""
    from tenants.models import ApiKey

    return ApiKey.objects.select_related("tenant").get(pk=key_id)


def _request_of_other() -> Any:
    """Return the request for the other model, which has a price per second."""
    from generations.catalog import request_check, video_models
    from generations.intake.generation_request import GenerationRequest

    model = video_models.models()[OTHER_MODEL]
    return GenerationRequest(model, request_check.check(model, dict(OTHER_BODY)))


def _request() -> Any:
    """Return the request of every create for the default model."""
    from generations.catalog import request_check, video_models
    from generations.intake.generation_request import GenerationRequest

    model = video_models.default()
    return GenerationRequest(model, request_check.check(model, {**BODY, "seed": 1}))
