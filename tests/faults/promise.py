"""A promise of the service in the report of the lab."""

from dataclasses import dataclass, field


@dataclass
class Promise:
    """A promise, how often it was tried, and its violations."""

    name: str
    tried: int
    unit: str
    broken: list[str] = field(default_factory=list)

    def line(self) -> str:
        """Return the promise as a line of the report."""
        bound = f"< {3 / self.tried:.2%} each" if self.tried and not self.broken else "-"
        return f"  {self.name:62} {self.tried:>7} {self.unit:18} {len(self.broken):>3} violations   {bound}"
