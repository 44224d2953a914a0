"""The result of one check of the doctor."""

from dataclasses import dataclass
from typing import Any

OK, WARNING, WRONG = "ok", "warning", "wrong"


@dataclass(frozen=True)
class Finding:
    """The result of one check."""

    name: str
    level: str
    fact: str
    fix: str = ""  # a sentence that says how to fix a fault
    milliseconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the finding for `--json`, where the fix is called `mend`."""
        body = {"name": self.name, "level": self.level, "fact": self.fact, "ms": round(self.milliseconds, 1)}
        return {**body, "mend": self.fix} if self.fix else body
