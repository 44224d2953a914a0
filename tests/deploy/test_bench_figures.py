"""The bench's figures: medians, spreads, and ratios that are taken round by round."""

import pytest

from tests.bench.rounds import Figure, in_turns
from tests.bench.table import Line, spread


def test_a_figure_is_shown_as_its_median_and_spread() -> None:
    assert spread(Figure.of([3.0, 1.0, 2.0]), "ms") == "2.00 ms (1.00–3.00)"
    assert spread(2.0, "ms") == "2.00 ms"


def test_a_ratio_is_taken_round_by_round() -> None:
    line = Line("group", "what", Figure.of([10.0, 40.0, 30.0]), "/s", limit=Figure.of([20.0, 40.0, 120.0]))
    assert line.ratio == Figure.of([0.5, 1.0, 0.25])
    assert line.ratio.median == 0.5


def test_figures_of_different_rounds_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Figure.of([1.0, 2.0]) / Figure.of([1.0])
    with pytest.raises(ValueError, match="at least one"):
        Figure.of([])


def test_sides_change_places_from_round_to_round_after_a_warm_up() -> None:
    calls: list[str] = []
    ours, limit = in_turns(lambda: calls.append("ours") or len(calls), lambda: calls.append("limit") or len(calls))
    assert calls == ["ours", "limit", "ours", "limit", "limit", "ours", "ours", "limit"]
    assert (ours, limit) == ([3, 6, 7], [4, 5, 8])
