"""Measure sides in turns, and give each figure as the median of its rounds, with the spread.

Every part of the bench that compares measures so:

    ours, by_hand = in_turns(lambda: site.load(body), lambda: limit.load(body))
    yield Line(group, "create", rates(ours), "/s", times(ours), rates(by_hand), "the same rows by hand")

`Line` takes a Figure in the place of a number, and takes the ratio of two Figures round by round.
"""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from tests.bench import load

ROUNDS = 3

Result = TypeVar("Result")


@dataclass(frozen=True)
class Figure:
    """One quantity, measured once in each round."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Figure":
        """Return the figure of one value a round. Raise ValueError if there is none."""
        figure = cls(tuple(values))
        if not figure.values:
            raise ValueError("A figure needs at least one round.")
        return figure

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def lowest(self) -> float:
        return min(self.values)

    @property
    def highest(self) -> float:
        return max(self.values)

    def __truediv__(self, other: "Figure") -> "Figure":
        """Return the ratio of each round's two values, which were measured one right after the other.

        Raise ValueError if the two have different numbers of rounds.
        """
        return Figure.of(mine / theirs for mine, theirs in zip(self.values, other.values, strict=True))

    def __sub__(self, other: "Figure") -> "Figure":
        """Return the difference of each round's two values. Raise ValueError as a division does."""
        return Figure.of(mine - theirs for mine, theirs in zip(self.values, other.values, strict=True))


def in_turns(*sides: Callable[[], Result], rounds: int = ROUNDS, warm_up: bool = True) -> list[list[Result]]:
    """Call all sides in each round, and return the results of each side, one a round.

    The sides change places from round to round, so that none always comes first. A round before them, which is not
    counted, lets all threads and connections do the work once; `warm_up=False` leaves it out.
    """
    if warm_up:
        for side in sides:
            side()
    results: list[list[Result]] = [[] for _ in sides]
    for number in range(rounds):
        order = list(enumerate(sides))
        for index, side in reversed(order) if number % 2 else order:
            results[index].append(side())
    return results


def rates(rounds: Iterable[load.Seen]) -> Figure:
    """Return the answers per second of each round."""
    return Figure.of(seen.rate for seen in rounds)


def times(rounds: Iterable[load.Seen]) -> str:
    """Return the percentiles of the answers of all rounds, as text."""
    return f"p50/95/99 {load.together(rounds).times()} ms"
