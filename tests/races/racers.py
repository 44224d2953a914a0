"""Four processes of many threads, which create at one moment against one database, as web processes do.

Nothing of Django is imported above: each process sets up its own, for the database that it is given.
"""

import multiprocessing
import os
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

PROCESSES, THREADS = 4, 25
CALLERS = PROCESSES * THREADS
# PostgreSQL admits 100 connections as it comes; what has none yet waits for one, as a web thread would.
CONNECTIONS = 20  # a process
PATIENCE = 120.0  # seconds
BODY = {"image": "https://pictures.example.com/a.png", "resolution": "480p", "aspect_ratio": "16:9", "duration": 5}


@dataclass
class Outcome:
    """What came of the creates of one process."""

    admitted: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)
    used_when_lowered: int | None = None

    def __add__(self, other: "Outcome") -> "Outcome":
        lowered = self.used_when_lowered if other.used_when_lowered is None else other.used_when_lowered
        failed = self.failed + other.failed
        return Outcome(self.admitted + other.admitted, self.refused + other.refused, failed, lowered)


class Racers:
    """The processes, and the barrier that releases all their threads at once."""

    def __init__(self, database_url: str) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipes: list[Connection] = []
        self._processes = []
        self._barrier = spawn.Barrier(CALLERS)  # kept: its semaphores are gone once nobody holds it
        for _ in range(PROCESSES):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(theirs, self._barrier, database_url), daemon=True)
            process.start()
            self._pipes.append(ours)
            self._processes.append(process)

    def race(self, key_id: int, how: str = "intake", lower_to: int | None = None) -> Outcome:
        for pipe in self._pipes:
            pipe.send(("race", key_id, how, lower_to if pipe is self._pipes[0] else None))
        return sum((_answer(pipe) for pipe in self._pipes), Outcome())

    def ask(self, what: str, *args: Any) -> Any:
        """One of the functions below, called in the first process."""
        self._pipes[0].send((what, *args))
        return _answer(self._pipes[0])

    def stop(self) -> None:
        for pipe in self._pipes:
            pipe.send(("stop",))
        for process in self._processes:
            process.join(PATIENCE)
            process.kill()


def _answer(pipe: Connection) -> Any:
    assert pipe.poll(PATIENCE), "a process does not answer"
    answer = pipe.recv()
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _serve(pipe: Connection, barrier: Any, database_url: str) -> None:
    import tests.support.environment  # noqa: F401 the rest of the environment

    os.environ["DATABASE_URL"] = database_url
    import django

    django.setup()
    calls = {"race": lambda *args: _race(barrier, *args), "migrate": migrate, "tenant": make_tenant, "facts": facts}
    while (message := pipe.recv())[0] != "stop":
        try:
            pipe.send(calls[message[0]](*message[1:]))
        except Exception as error:
            pipe.send(AssertionError(repr(error)))


def migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def make_tenant(limits: dict[str, int], of_key: bool) -> int:
    """A new tenant with one key; the limits are the tenant's, or the key's."""
    import uuid

    from tenants import actions, audit
    from tenants.models import ApiKey

    actor = audit.Actor(name="races")
    tenant = actions.create_tenant(actor, uuid.uuid4().hex, **({} if of_key else limits))
    new = actions.create_key(actor, tenant, limits=limits if of_key else {})
    return ApiKey.objects.get(prefix=new.prefix).pk


def facts(key_id: int) -> dict[str, Any]:
    """What the race left: generations, the minutes that they were created in, and what the ledger's check finds."""
    from generations.models import Generation
    from tenants.models import ApiKey
    from tenants.money import reconcile

    tenant_id = ApiKey.objects.get(pk=key_id).tenant_id
    created = list(Generation.objects.filter(tenant=tenant_id).values_list("created_at", flat=True))
    minutes = len({at.replace(second=0, microsecond=0) for at in created})
    return {"generations": len(created), "minutes": minutes, "differences": len(reconcile.check(tenant_id))}


def _race(barrier: Any, key_id: int, how: str, lower_to: int | None) -> Outcome:
    outcome, room, lock = Outcome(), threading.BoundedSemaphore(CONNECTIONS), threading.Lock()

    def call(number: int) -> None:
        from django.db import DatabaseError, connection

        from tenants.errors import LimitReached

        barrier.wait(PATIENCE)
        with room:
            try:
                if lower_to is not None and number == 0:
                    outcome.used_when_lowered = _lower(key_id, lower_to)
                    return
                (_create if how == "intake" else _create_naively)(key_id, how)
                with lock:
                    outcome.admitted += 1
            except LimitReached:
                with lock:
                    outcome.refused += 1
            except (DatabaseError, AssertionError) as error:
                outcome.failed.append(repr(error))
            finally:
                connection.close()

    threads = [threading.Thread(target=call, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


def _create(key_id: int, how: str) -> None:
    from generations.intake import create

    create.create_generation(_key(key_id), _wanted())


def _create_naively(key_id: int, how: str) -> None:
    """What everybody writes first: count, then insert."""
    from generations.intake import create
    from generations.models import Generation
    from tenants.errors import LimitReached

    key, limit = _key(key_id), int(how)
    if Generation.objects.filter(tenant=key.tenant_id).count() >= limit:
        raise LimitReached(limit_name="", whose="", limit=0, used=0, left=0, wanted=0, remedy="")
    generation = create._draft(key, _wanted())
    generation.image_url = BODY["image"]
    generation.due_at = generation.created_at
    generation.save(force_insert=True)


def _lower(key_id: int, to: int) -> int:
    """Lower the tenant's limit, and tell what was in flight as it became law."""
    from django.db import transaction

    from tenants import actions, audit
    from tenants.models import Window

    tenant = _key(key_id).tenant
    with transaction.atomic():
        actions.change_tenant(audit.Actor(name="races"), tenant, in_flight=to)
        used = Window.objects.filter(tenant=tenant, api_key=None, kind="in_flight").values_list("used", flat=True)
        return used.first() or 0


def _key(key_id: int) -> Any:
    from tenants.models import ApiKey

    return ApiKey.objects.select_related("tenant").get(pk=key_id)


def _wanted() -> Any:
    from generations.intake.generation_request import GenerationRequest

    return GenerationRequest(prompt="", last_image=None, camera_fixed=False, seed=1, **BODY)
