"""A chart of the panel, drawn on a canvas and repeated as a table for screen readers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

BLUE = "#3b82f6"
GREY = "#7b8494"  # readable on white and on black
AXES: dict[str, Any] = {"ticks": {"color": GREY, "precision": 0}, "grid": {}}  # counts, and whole seconds
OPTIONS: dict[str, Any] = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "plugins": {"legend": {"display": True, "position": "bottom", "labels": {"color": GREY, "boxWidth": 12}}},
    "scales": {"x": AXES, "y": {**AXES, "beginAtZero": True}},
}


@dataclass(frozen=True)
class Chart:
    """A chart of named series over common labels of the x axis; unfold's script draws the chart with Chart.js."""

    id: str
    title: str
    kind: str  # bar or line
    labels: Sequence[str]
    series: dict[str, tuple[str, Sequence[float | None]]]  # by name: a colour and one value for each label
    stacked: bool = False

    @property
    def value(self) -> str:
        """Return the labels and series as Chart.js takes them, as JSON."""
        datasets = [
            {"label": name, "data": list(values), "backgroundColor": colour, "borderColor": colour, "tension": 0.2}
            for name, (colour, values) in self.series.items()
        ]
        return json.dumps({"labels": list(self.labels), "datasets": datasets})

    @property
    def options(self) -> str:
        """Return the options of Chart.js, as JSON."""
        scales = {name: {**axis, "stacked": self.stacked} for name, axis in OPTIONS["scales"].items()}
        return json.dumps({**OPTIONS, "scales": scales})

    @property
    def rows(self) -> list[tuple[str, list[float | None]]]:
        """Return the rows of the table: each label with the value of every series."""
        values = [values for _, values in self.series.values()]
        return [(label, list(row)) for label, row in zip(self.labels, zip(*values, strict=True), strict=True)]
