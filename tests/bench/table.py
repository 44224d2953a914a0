"""The lines of a report, each with a limit of the same run and a target; as Markdown, and as a chart."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.bench.rounds import Figure

HEADER = ("what", "measured", "limit in the same run", "ratio", "target", "", "notes")


@dataclass(frozen=True)
class Line:
    """One row of the report. A Figure is shown as its median, with the lowest and the highest of its rounds."""

    group: str
    what: str
    value: float | Figure
    unit: str
    more: str = ""  # other facts of the same measurement
    limit: float | Figure | None = None  # in the same unit, from the same run
    limit_is: str = ""
    target: str = ""  # in words
    met: bool | None = None  # None: there is no target

    @property
    def ratio(self) -> float | Figure | None:
        """Return the value's ratio to the limit: round by round, where both were measured in rounds."""
        if not self.limit:
            return None
        if isinstance(self.value, Figure) and isinstance(self.limit, Figure):
            return self.value / self.limit
        return median(self.value) / median(self.limit)


def median(value: float | Figure) -> float:
    """Return a figure's median, or the number itself."""
    return value.median if isinstance(value, Figure) else value


def number(value: float) -> str:
    """Return a number with about three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def spread(value: float | Figure | None, unit: str = "") -> str:
    """Return a figure as `median unit (lowest–highest)`, a number as `number unit`, None as an empty text."""
    if value is None:
        return ""
    text = f"{number(median(value))} {unit}".rstrip()
    if isinstance(value, Figure) and len(value.values) > 1:
        text += f" ({number(value.lowest)}–{number(value.highest)})"
    return text


def markdown(lines: Iterable[Line]) -> str:
    """Return a table for each group, its columns aligned, so that it can be read in a terminal too."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for line in lines:
        groups.setdefault(line.group, []).append(_row(line))
    return "\n\n".join(f"## {group}\n\n{_aligned(rows)}" for group, rows in groups.items())


def _row(line: Line) -> tuple[str, ...]:
    limit, verdict = spread(line.limit, line.unit), {True: "met", False: "**not met**", None: ""}[line.met]
    notes = "; ".join(filter(None, [f"limit: {line.limit_is}" if line.limit_is else "", line.more]))
    return line.what, spread(line.value, line.unit), limit, spread(line.ratio), line.target, verdict, notes


def _aligned(rows: list[tuple[str, ...]]) -> str:
    """Return the rows below the header, without the columns in which no row has a text."""
    used = [index for index in range(len(HEADER)) if any(row[index] for row in rows)]
    table = [[row[index] for index in used] for row in (HEADER, *rows)]
    widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in table
    )


def chart_ratios(lines: Iterable[Line], path: Path) -> None:
    """Write a chart of each rate's ratio to its limit, with the spread of its rounds."""
    found = {f"{line.group}: {line.what}": line.ratio for line in lines if line.unit.endswith("/s") and line.ratio}
    _chart(found, "ratio to the limit of the same run: 1 is the plainest code by hand", path)


def chart_rates(lines: Iterable[Line], path: Path) -> None:
    """Write a chart of all rates, with the spread of their rounds."""
    found = {f"{line.group}: {line.what}": line.value for line in lines if line.unit == "/s"}
    _chart(found, "answers a second, one process on one core", path)


def _chart(found: dict[str, float | Figure], label: str, path: Path) -> None:
    """Write a horizontal bar for each figure, the first on top. Write nothing if there is none."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figures = [value if isinstance(value, Figure) else Figure.of([value]) for value in found.values()][::-1]
    if not figures:
        return
    medians = [figure.median for figure in figures]
    below = [figure.median - figure.lowest for figure in figures]
    above = [figure.highest - figure.median for figure in figures]
    mpl.rcParams["svg.hashsalt"] = "seedance"
    canvas, axes = plt.subplots(figsize=(10, 0.32 * len(figures) + 1))
    axes.barh(range(len(figures)), medians, xerr=[below, above], color="#4c72b0", ecolor="#333333", capsize=2)
    axes.set_yticks(range(len(figures)), [*found][::-1], fontsize=8)
    axes.set_xlim(0, 1.05 * max(figure.highest for figure in figures))
    axes.set_xlabel(label)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    canvas.tight_layout()
    canvas.savefig(path, metadata={"Date": None})
    plt.close(canvas)
