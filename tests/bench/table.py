"""What was measured: lines with a limit of the same run, and the target; as Markdown, and as a chart."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Line:
    group: str
    what: str
    value: float
    unit: str
    more: str = ""  # what else was seen
    limit: float | None = None  # in the same unit, in the same run
    limit_is: str = ""
    target: str = ""  # in words, of ../shared/TARGETS.md
    met: bool | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.limit if self.limit else None


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def markdown(lines: Iterable[Line]) -> str:
    out, group = [], ""
    for line in lines:
        if line.group != group:
            group = line.group
            out += ["", f"## {group}", "", "| what | measured | limit in the same run | ratio | target | |"]
            out.append("|---|---|---|---|---|---|")
        more = f" ({line.more})" if line.more else ""
        limit = f"{number(line.limit)} {line.unit}: {line.limit_is}" if line.limit else ""
        ratio = f"{line.ratio:.2f}" if line.ratio else ""
        met = {True: "met", False: "**not met**", None: ""}[line.met]
        out.append(
            f"| {line.what} | {number(line.value)} {line.unit}{more} | {limit} | {ratio} | {line.target} | {met} |"
        )
    return "\n".join(out)


def chart(lines: Iterable[Line], path: Path) -> None:
    """Each ratio to its limit."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    found = [(f"{line.group}: {line.what}", line.ratio) for line in lines if line.ratio]
    names, ratios = [name for name, _ in found][::-1], [ratio for _, ratio in found][::-1]
    mpl.rcParams["svg.hashsalt"] = "seedance"
    figure, axes = plt.subplots(figsize=(10, 0.32 * len(found) + 1))
    axes.barh(range(len(found)), ratios, color=["#4c72b0" if ratio >= 0.5 else "#c44e52" for ratio in ratios])
    axes.set_yticks(range(len(found)), names, fontsize=8)
    axes.axvline(0.5, color="grey", linewidth=0.8, linestyle=":")
    axes.set_xlim(0, 1.05)
    axes.set_xlabel("ratio to the limit of the same run: 1 is the plainest code by hand")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
