"""Tables of results: as lines for a terminal, and as reStructuredText for the documentation.

Never computes a figure.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

Rows = Sequence[Sequence[object]]
LEFT = 2
"""Columns of words, which begin a row; figures follow."""


def text(rows: Rows) -> list[str]:
    """Lines of fixed width."""
    cells = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number < LEFT else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in cells
    ]


def list_table(rows: Iterable[Sequence[object]]) -> list[str]:
    """The first row is the head."""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in rows:
        lines += [f"   {'* -' if number == 0 else '  -'} {cell}" for number, cell in enumerate(row)]
    return lines


def replace(path: Path, head: Sequence[str], rows: Rows) -> None:
    """Write these rows into the table in this file, in place of those that begin with the same cell."""
    written = path.read_text(encoding="utf-8") if path.exists() else ""
    before = re.split(r"^   \* - ", written, flags=re.MULTILINE)[2:]
    mine = {str(row[0]) for row in rows}
    kept = [cells for row in before if (cells := row.rstrip("\n").split("\n     - "))[0] not in mine]
    path.write_text("\n".join(list_table([head, *kept, *rows])) + "\n", encoding="utf-8")
