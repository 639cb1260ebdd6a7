"""Progress: a bar on a terminal, nothing elsewhere, so that logs and pipes stay clean."""

import time
from typing import TextIO

WIDTH = 30
EVERY = 0.2
"""Seconds between two drawings."""


class Progress:
    """`step()` for each thing done; the total may grow meanwhile. Ends its line when used as a context manager."""

    def __init__(self, out: TextIO, total: int) -> None:
        self.out, self.total, self.done = out, total, 0
        self.shown, self.drawn, self.started = out.isatty() and total > 0, 0.0, time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.shown and self.drawn:
            self._draw()
            self.out.write("\n")

    def step(self, count: int = 1) -> None:
        self.done += count
        self.total = max(self.total, self.done)
        if self.shown and time.monotonic() - self.drawn > EVERY:
            self._draw()

    def _draw(self) -> None:
        self.drawn = time.monotonic()
        share = self.done / self.total
        left = (self.drawn - self.started) * (1 - share) / share
        bar = "#" * round(WIDTH * share)
        self.out.write(f"\r[{bar:.<{WIDTH}}] {self.done}/{self.total}, {left:.0f} s left ")
        self.out.flush()
