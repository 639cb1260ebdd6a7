"""The table of results: one row a configuration and scenario, printed after the run, written to a file on demand."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path

from tests import tables

from .wechat import Tally

_HEADINGS = ("Configuration", "Scenario", "Sent", "Success", "Try again", "Refused", "Broken off", "Effects", "Seconds")


@dataclass(frozen=True, slots=True)
class Row:
    """What one scenario did under one configuration; `*` is their sum."""

    configuration: str
    scenario: str
    sent: int
    success: int
    again: int
    refused: int
    broken: int
    effects: int
    seconds: float

    def cells(self) -> list[str]:
        counts = (self.sent, self.success, self.again, self.refused, self.broken, self.effects)
        return [self.configuration, self.scenario, *map(str, counts), f"{self.seconds:.1f}"]


@dataclass(slots=True)
class Table:
    """The rows, in the order the scenarios ran."""

    rows: list[Row] = field(default_factory=list)

    def add(self, scenario: str, tally: Tally) -> None:
        answers = tally.answers
        counts = [
            len(answers),
            sum(answer.success for answer in answers),
            sum(answer.retry for answer in answers),
            sum(answer.refused for answer in answers),
            sum(answer.status == 0 for answer in answers),
        ]
        self.rows.append(Row(str(tally.shop.configuration), scenario, *counts, tally.effects, tally.seconds))

    def summary(self, configuration: str) -> Row:
        """All scenarios of one configuration together."""
        rows = [row for row in self.rows if row.configuration == configuration]
        counts = [
            sum(getattr(row, name) for row in rows)
            for name in ("sent", "success", "again", "refused", "broken", "effects")
        ]
        return Row(configuration, "*", *counts, sum(row.seconds for row in rows))

    def summaries(self) -> list[Row]:
        return [self.summary(name) for name in dict.fromkeys(row.configuration for row in self.rows)]

    def text(self) -> list[str]:
        """Lines of fixed width, for a terminal."""
        return tables.text([_HEADINGS, *(row.cells() for row in [*self.rows, *self.summaries()])])

    def write(self, path: Path) -> None:
        """As CSV with every row if the file is named so, else as a reStructuredText list-table of the sums."""
        if path.suffix == ".csv":
            text = io.StringIO()
            csv.writer(text).writerows([_HEADINGS, *(row.cells() for row in self.rows)])
            path.write_text(text.getvalue(), encoding="utf-8")
            return
        headings = [heading for heading in _HEADINGS if heading != "Scenario"]
        rows = [[cell for cell in row.cells() if cell != "*"] for row in self.summaries()]
        path.write_text("\n".join(tables.list_table([headings, *rows])) + "\n", encoding="utf-8")
