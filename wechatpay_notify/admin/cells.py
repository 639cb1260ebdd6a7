"""Cells: what stands in the tables of a page, and the tables themselves, as values that write their own markup.

Never holds markup of anybody else's: each text is escaped.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.html import format_html
from django.utils.safestring import SafeString

Text = str | Promise


def badge(text: Any, tone: str) -> SafeString:
    """A coloured word; `tone` is one of this app's own."""
    return format_html('<span class="wechatpay-badge wechatpay-{}">{}</span>', tone, text)


@dataclass(frozen=True, slots=True)
class Cell:
    text: Text
    url: str = ""
    tone: str = ""
    """good, bad, warn or quiet: shown as a badge; "" is plain text."""
    whole: bool = False
    """A number or moment, not broken over lines where there is room."""

    def __html__(self) -> SafeString:
        """A link, a badge or the text. No template: including one for each of some hundred takes a third of a page."""
        if self.url:
            return format_html('<a href="{}">{}</a>', self.url, self.text)
        return badge(self.text, self.tone) if self.tone else format_html("{}", self.text or "-")

    __str__ = __html__  # which is what a template asks for


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A table (columns and rows), or a block of monospaced text."""

    title: Text
    columns: Sequence[Text] = ()
    rows: Sequence[Sequence[Cell]] = ()
    text: str = ""
    note: Text = ""
    """A line below the title; instead of the table when there are no rows."""
    more: Cell | None = None
    """A link to the list with all of them."""

    def labelled_rows(self) -> list[list[tuple[Cell, Text]]]:
        """Each cell with its column's label, which a narrow screen shows beside it."""
        return [list(zip(row, self.columns, strict=True)) for row in self.rows]
