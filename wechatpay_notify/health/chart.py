"""The chart: the days as rectangles, in whole numbers, for a template to draw.

Never holds markup, a colour or text: a rectangle names its group, and the style sheet gives that a colour.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from .days import GROUPS, Day

WIDTH, HEIGHT = 1400, 400
"""Units of the drawing, which is stretched to whatever room there is."""
_GAP = 0.24
"""Of a day's width."""
_LEAST = 8
"""Height of a part that is not nothing: a single failure among thousands must be seen."""


@dataclass(frozen=True, slots=True)
class Bar:
    group: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    days: Sequence[Day]
    bars: Sequence[Bar]
    highest: int
    """Notifications of the day with the most."""
    width: int = WIDTH
    height: int = HEIGHT


def draw(days: Sequence[Day]) -> Chart:
    """Stack each day's groups, the confirmed ones at the bottom; the day with the most takes the whole height."""
    highest = max((day.total for day in days), default=0)
    step = WIDTH // max(len(days), 1)
    bars: list[Bar] = []
    for number, day in enumerate(days):
        heights = _heights(day, highest)
        bottom = HEIGHT
        for group, height in heights.items():
            bottom -= height
            bars.append(Bar(group, int(step * (number + _GAP / 2)), bottom, int(step * (1 - _GAP)), height))
    return Chart(days=days, bars=bars, highest=highest)


def _heights(day: Day, highest: int) -> dict[str, int]:
    """Of the groups that are not empty. What the small ones are given more than their share, the largest gives."""
    found = {group: max(_LEAST, round(HEIGHT * day.groups[group] / highest)) for group in GROUPS if day.groups[group]}
    spare = sum(found.values()) - max(_LEAST * len(found), round(HEIGHT * day.total / highest)) if found else 0
    if spare > 0:
        largest = max(found, key=lambda group: found[group])
        found[largest] = max(_LEAST, found[largest] - spare)
    return found
