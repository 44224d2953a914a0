"""A chart of the panel: a canvas for who sees it, and the same as a table for who does not."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

BLUE = "#3b82f6"
GREY = "#7b8494"  # readable on white and on black
AXES: dict[str, Any] = {"ticks": {"color": GREY}, "grid": {}}
OPTIONS: dict[str, Any] = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "plugins": {"legend": {"display": True, "position": "bottom", "labels": {"color": GREY, "boxWidth": 12}}},
    "scales": {"x": AXES, "y": {**AXES, "beginAtZero": True}},
}


@dataclass(frozen=True)
class Chart:
    """Its lines, over the labels of its x axis. unfold's script draws it with Chart.js."""

    id: str
    title: str
    kind: str  # bar or line
    labels: Sequence[str]
    lines: dict[str, tuple[str, Sequence[float | None]]]  # by name: a colour and a value for each label
    stacked: bool = False

    @property
    def value(self) -> str:
        lines = [
            {"label": name, "data": list(values), "backgroundColor": colour, "borderColor": colour, "tension": 0.2}
            for name, (colour, values) in self.lines.items()
        ]
        return json.dumps({"labels": list(self.labels), "datasets": lines})

    @property
    def options(self) -> str:
        scales = {name: {**axis, "stacked": self.stacked} for name, axis in OPTIONS["scales"].items()}
        return json.dumps({**OPTIONS, "scales": scales})

    @property
    def rows(self) -> list[tuple[str, list[float | None]]]:
        values = [values for _, values in self.lines.values()]
        return [(label, list(row)) for label, row in zip(self.labels, zip(*values, strict=True), strict=True)]
