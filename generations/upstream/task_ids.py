"""Find the tasks that an answer names, in whatever form: a task that was paid for must not be lost with its answer."""

import re
from typing import Any

from generations.foreign_text import clean
from generations.upstream.json_bodies import Body

MAX_CHARS = 200  # of an id; the column's
MAX_SEARCHED_CHARS = 64 * 1024
# In text that is no JSON: `task_id=…` in a URL, or `"task_id": "…"` in JSON that was cut off behind it. A value without
# its end, which may be cut off itself, does not count.
IN_TEXT = re.compile(
    r"""task[_-]?id["']?\s*[:=]\s*(?:"([^"\\]{1,200})"|'([^'\\]{1,200})'|([\w.:~-]{1,200})(?=[^\w.:~-]))""", re.I
)
NAMES = ("taskid", "upstreamid")


def find(body: Body, text: str) -> list[str]:
    """Return the ids of the tasks that the answer names, each once. `text` is the whole answer, with its headers."""
    found = [value for name, value in body.pairs if _plain(name) in NAMES]
    if not found:  # an object named "task" may call it just "id"
        tasks = [value for name, value in body.pairs if _plain(name) == "task" and isinstance(value, dict)]
        found = [task["id"] for task in tasks if "id" in task]
    if not body.fields or not found:
        found += [next(filter(None, match)) for match in IN_TEXT.findall(text[:MAX_SEARCHED_CHARS])]
    ids = [str(value) for value in found if is_id(value)]
    return list(dict.fromkeys(ids))


def _plain(name: str) -> str:
    """Return the name as it is compared: whatever its case and its separators."""
    return name.replace("_", "").replace("-", "").lower()


def is_id(value: Any) -> bool:
    """Return whether the value can be an id, and holds no secret."""
    if type(value) is int:
        return 0 < value < 2**63
    is_text = isinstance(value, str) and 0 < len(value) <= MAX_CHARS and value.isprintable()
    return is_text and value == value.strip() == clean(value)
