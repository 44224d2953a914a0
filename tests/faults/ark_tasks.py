"""The tasks of an account on Ark's wire in the lab: the upstream's own count of what it received and created."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tests.faults.faulty_server import SECRET

FRAMES = 24 * 5 + 1  # of the videos that the lab's callers ask for
TOKENS = round(864 * 496 * FRAMES / 1024)  # of 480p, 16:9 and 5 s, by the maker's formula
USAGES = {"number": 60, "text": 25, "missing": 8, "above": 7}  # how the tokens are reported, of 100 tasks
HIDDEN_SECONDS = (0.5, 3.0)  # for which some tasks are not in the list yet
FAILURES = ["OutputVideoSensitiveContentDetected", "InputImageSensitiveContentDetected", "InternalServiceError"]
MAX_PAGE_SIZE = 500
SHOWN = {"everywhere": 70, "by its id": 15, "nowhere": 15}  # where a task shows its reference, of 100 tasks
CALLERS_SEEDS = range(1_000_000)  # seeds that callers may choose in the lab; the service draws from far more


@dataclass
class ArkTask:
    """A task. Its moments are those of the monotonic clock."""

    id: str
    seed: int
    body: dict[str, Any]  # of the create
    created_at: int  # seconds since 1970
    begins_at: float
    ready_at: float
    end: str  # succeeded, expired, or the code of a failure
    usage: str  # one of USAGES
    listed_from: float
    shows_reference: str  # one of SHOWN
    cancelled: bool = False

    @property
    def status(self) -> str:
        """The status now."""
        now = time.monotonic()
        if self.cancelled:
            return "cancelled"
        if now < self.ready_at:
            return "queued" if now < self.begins_at else "running"
        return "failed" if self.end in FAILURES else self.end

    @property
    def tokens(self) -> int | None:
        """The tokens that the upstream reports; None if it reports none."""
        return {"missing": None, "above": 3 * TOKENS}.get(self.usage, TOKENS)

    def render(self, url: str, *, listed: bool = False) -> dict[str, Any]:
        """Return the task object, with its video below that URL."""
        status, body = self.status, self.body
        task = {"id": self.id, "model": body["model"], "status": status, "created_at": self.created_at}
        task |= {name: body[name] for name in ("seed", "resolution", "ratio", "duration")}
        task |= {"updated_at": int(time.time()), "framespersecond": 24, "execution_expires_after": 172800}
        task["service_tier"] = body.get("service_tier", "default")
        if "safety_identifier" in body and self.shows_reference in (
            ["everywhere"] if listed else ["everywhere", "by its id"]
        ):
            task["safety_identifier"] = body["safety_identifier"]
        if status == "succeeded":
            task["content"] = {"video_url": f"{url}/videos/{self.seed}?signature={SECRET}"}
            if (tokens := self.tokens) is not None:
                count = str(tokens) if self.usage == "text" else tokens
                task["usage"] = {"completion_tokens": count, "total_tokens": count}
        if status == "failed":
            task["error"] = {"code": self.end, "message": f"The dice said so. Request id: 02{self.created_at}"}
        return task


class ArkTasks:
    """The tasks of one account. `created` and `received` count by seed: they say what was paid."""

    def __init__(self, name: str, seed: int, key: str = "") -> None:
        self.name, self.key = name, key
        self.by_id: dict[str, ArkTask] = {}
        self.created: Counter[int] = Counter()
        self.received: Counter[int] = Counter()  # POSTs whose whole body came
        self.polls = self.pages = self.wrong_keys = self.lost = 0
        self.deleted: list[str] = []  # finished tasks whose record is gone
        self._dice, self._lock = random.Random(seed), threading.Lock()

    def create(self, body: dict[str, Any], *, calm: bool = False) -> ArkTask:
        """Create a task. While `calm`, it succeeds, reports numbers, and is listed whole at once."""
        with self._lock:
            now, dice = time.monotonic(), self._dice
            task_id = f"cgt-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{self.name[0]}{len(self.by_id):04x}"
            begins = now + dice.uniform(0.0, 0.5)
            end = dice.choice([*FAILURES, "expired"]) if dice.random() < 0.05 else "succeeded"
            usage = dice.choices(list(USAGES), list(USAGES.values()))[0]
            hidden = dice.uniform(*HIDDEN_SECONDS) if dice.random() < 0.25 else 0.0
            if calm:
                end, usage, hidden = "succeeded", "number", 0.0
            facts = {"end": end, "usage": usage, "listed_from": now + hidden}
            shown = dice.choices(list(SHOWN), list(SHOWN.values()))[0]
            if calm or body["seed"] in CALLERS_SEEDS:  # a seed that a caller chose identifies no task
                shown = "everywhere"
            ready = begins + dice.uniform(0.2, 1.0)
            task = ArkTask(task_id, body["seed"], body, int(time.time()), begins, ready, **facts, shows_reference=shown)
            self.by_id[task_id] = task
            self.created[task.seed] += 1
            return task

    def other_than(self, task_id: str) -> ArkTask | None:
        """Return another task, whose video is ready; None if there is none."""
        with self._lock:
            others = [task for task in self.by_id.values() if task.id != task_id and task.status == "succeeded"]
            return self._dice.choice(others) if others else None

    def of_seed(self, seed: int) -> list[ArkTask]:
        """Return the tasks of the seed."""
        with self._lock:
            return [task for task in self.by_id.values() if task.seed == seed]

    def delete(self, task_id: str) -> bool:
        """Cancel a task that waits, or remove the record of a finished one. Return False for a running one."""
        with self._lock:
            task = self.by_id[task_id]
            match task.status:
                case "queued":
                    task.cancelled = True
                case "running" | "cancelled":
                    return False
                case _:
                    del self.by_id[task_id]
                    self.deleted.append(task_id)
            return True

    def page(self, query: dict[str, list[str]], url: str) -> dict[str, Any]:
        """Return a page of the list, the newest task first. Those of the other tier are left out."""
        with self._lock:
            tasks = [task for task in reversed(self.by_id.values()) if _is_listed(task, query)]
        number = int(query.get("page_num", ["1"])[0])
        size = min(int(query.get("page_size", ["20"])[0]), MAX_PAGE_SIZE)
        shown = tasks[(number - 1) * size : number * size]
        return {"items": [task.render(url, listed=True) for task in shown], "total": len(tasks)}


def _is_listed(task: ArkTask, query: dict[str, list[str]]) -> bool:
    """Return whether the list has the task, by the time and by the filters."""
    tier = task.body.get("service_tier", "default")
    return (
        time.monotonic() >= task.listed_from
        and tier in query.get("filter.service_tier", ["default"])
        and task.body["model"] in query.get("filter.model", [task.body["model"]])
        and task.status in query.get("filter.status", [task.status])
        and task.id in query.get("filter.task_ids", [task.id])
    )
