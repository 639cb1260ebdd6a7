"""Rounds: contenders measured side by side, in many short turns, so that a noisy machine disturbs all of them alike."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Measure = Callable[[], float]
"""One turn of a contender; returns its cost (seconds a call), the smaller the better."""
BAR = 30


@dataclass(frozen=True, slots=True)
class Goal:
    """`cost of contender ÷ cost of base` (or, inverted, the speed ratio) and its limit."""

    contender: str
    base: str
    limit: float | None = None
    speed: bool = False
    """Compare calls a second (limit is a minimum) instead of cost (limit is a maximum)."""

    @property
    def words(self) -> str:
        if self.limit is None:
            return "-"
        return f"{'at least' if self.speed else 'at most'} {self.limit:.2f}"


@dataclass(frozen=True, slots=True)
class Ratio:
    """Median and quartiles of the ratios of all rounds."""

    median: float
    low: float
    high: float

    def verdict(self, goal: Goal) -> str:
        if goal.limit is None:
            return "-"
        met = self.median >= goal.limit if goal.speed else self.median <= goal.limit
        return "met" if met else "MISSED"


class Progress:
    """A bar on a terminal, a line at every quarter elsewhere; on standard error, so that tables can be redirected."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total, self.done = label, total, 0
        self.terminal = sys.stderr.isatty()
        self.started = time.monotonic()

    def step(self) -> None:
        self.done += 1
        share = self.done / self.total
        left = (time.monotonic() - self.started) * (1 - share) / share
        if self.terminal:
            filled = round(BAR * share)
            end = "\n" if self.done == self.total else ""
            line = (
                f"\r{self.label} [{'#' * filled}{'.' * (BAR - filled)}] {self.done}/{self.total}, {left:3.0f} s left "
            )
            print(line, end=end, file=sys.stderr, flush=True)
        elif (self.done * 4) // self.total > ((self.done - 1) * 4) // self.total:
            print(f"{self.label}: {self.done}/{self.total}, {left:.0f} s left", file=sys.stderr, flush=True)


def interleave(contenders: Mapping[str, Measure], rounds: int, label: str) -> dict[str, list[float]]:
    """Costs by contender, one for each round. The order rotates, so that none always follows the same neighbour."""
    costs: dict[str, list[float]] = {name: [] for name in contenders}
    names, progress = list(contenders), Progress(label, rounds)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            costs[name].append(contenders[name]())
        progress.step()
    return costs


def ratio(costs: Mapping[str, list[float]], goal: Goal) -> Ratio:
    """The ratio of two contenders over all rounds. Only neighbours in time are compared, never totals."""
    pairs = zip(costs[goal.contender], costs[goal.base], strict=True)
    ratios = [base / mine if goal.speed else mine / base for mine, base in pairs]
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(median, low, high)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain text in columns: the first one flush left, the others right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "  ".join(
            cell.ljust(width) if not column else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def verdicts(costs: Mapping[str, list[float]], goals: Sequence[Goal]) -> list[list[str]]:
    """One line of the table for each goal."""
    rows = []
    for goal in goals:
        found = ratio(costs, goal)
        rows.append(
            [
                f"{goal.contender} / {goal.base}",
                f"{found.median:.2f}",
                f"{found.low:.2f} to {found.high:.2f}",
                goal.words,
                found.verdict(goal),
            ]
        )
    return rows


VERDICT_HEAD = ("", "median", "quartiles", "goal", "verdict")
