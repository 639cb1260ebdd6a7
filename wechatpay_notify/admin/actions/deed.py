"""Deed: one thing that staff may have done to rows: what it is called, who may, what it will do, and how it ends.

Never does anything while it is planned.
"""

import dataclasses
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from django import forms
from django.core import signing
from django.db.models import QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from wechatpay_notify.admin.cells import Cell, Panel
from wechatpay_notify.admin.panels import Links
from wechatpay_notify.admin.remarks import commas
from wechatpay_notify.history import named
from wechatpay_notify.log import logger

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

    Text = str | _StrPromise
else:
    Text = str | Promise

MOST_AT_ONCE = 1000
"""Rows that one confirmation covers. More are left to the commands, which nobody's browser has to wait for."""
MOST_LISTED = 20
MOST_REASON = 200
"""Characters of a reason."""
VALID = 24 * 60 * 60
"""Seconds for which a confirmation page may be sent."""
SALT = "wechatpay_notify.admin.actions"


class TooMany(Exception):
    """More rows were chosen than are done at once; its text is for the user."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done: to which rows, said in sentences, and in tables."""

    pks: list[int]
    sentences: list[str]
    panels: list[Panel]


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended for one row: a key of the deed's `words`, whether somebody has to look, and the row to look at."""

    word: str
    failed: bool = False
    look_at: int = 0


@dataclass(slots=True, kw_only=True)
class Errand:
    """What was confirmed and how far it has come; carried from page to page under a signature."""

    deed: str
    place: str
    """The admin site and model whose page it was confirmed on."""
    user: int
    by: str
    chosen: list[int]
    """Primary keys as they were selected."""
    pks: list[int]
    """Of what is left to do."""
    total: int
    which: str = ""
    """How its rows were found, in a sentence; "" where they were selected."""
    at: float = field(default_factory=time.time)
    """When the confirmation page was made, in Unix seconds."""
    reason: str = ""
    tally: dict[str, int] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)
    """Primary keys of the rows to look at."""

    def sealed(self) -> str:
        return signing.dumps(dataclasses.asdict(self), salt=SALT, compress=True)

    @classmethod
    def opened(cls, sealed: str, *, deed: str, place: str, user: int) -> "Errand":
        """Raises signing.BadSignature: forged, too old, of another user or for something else."""
        try:
            errand = cls(**signing.loads(sealed, salt=SALT, max_age=VALID))
        except TypeError as error:  # of another release, whose errands have other fields
            raise signing.BadSignature("of another release") from error
        if (errand.deed, errand.place, errand.user) != (deed, place, user):
            raise signing.BadSignature("of another user, or for something else")
        return errand

    def noted(self, said: str) -> str:
        """What goes into the history: what was done, to which rows, and why."""
        return " ".join(text for text in (said, self.which, self.reason) if text)

    def run(self, deed: "Deed", *, rows: int, seconds: float) -> None:
        """Do the next ones: so many at most, none begun later than that."""
        started, counted = time.monotonic(), Counter(self.tally)
        for _number in range(rows):
            if not self.pks or time.monotonic() - started > seconds:
                break
            pk = self.pks.pop(0)
            try:
                ended = deed.do(pk, self)
            except Exception:
                logger.exception("%s of %s failed", deed.name, pk)
                ended = Ended("error", failed=True, look_at=pk)
            counted[ended.word] += 1
            if ended.failed:
                self.failed.append(ended.look_at or pk)
        self.tally = dict(counted)


class Deed:
    """One deed. It serves every admin that names it, so it holds nothing of a request."""

    name: ClassVar[str]
    """In its URL; `wechatpay_<name>` as an action of a list."""
    permission: ClassVar[str]
    """The admin's `has_<permission>_permission` decides."""
    label: ClassVar[Text]
    explanation: ClassVar[Text]
    warning: ClassVar[Text] = ""
    needs_reason: ClassVar[bool] = False
    words: ClassVar[dict[str, Text]] = {}
    passed_over: ClassVar[frozenset[str]] = frozenset({"skipped"})
    """Those of the `words` that mean neither success nor failure."""
    looks_at: ClassVar[Any] = None
    """The model that `Ended.look_at` is of; None for the admin's own."""
    read_with: ClassVar[tuple[str, ...]] = ()
    """Relations of it that `failure` names."""

    @property
    def action(self) -> str:
        return f"wechatpay_{self.name}"

    def offered(self, row: Any) -> bool:
        """Whether a row's page has a button for it."""
        return True

    def question(self, request: HttpRequest) -> forms.Form | None:
        """What is asked first, of a deed that finds its rows itself; None where rows are selected."""
        return None

    def found(self, form: Any) -> list[int]:
        """Primary keys of what the answer to `question` finds. Raises TooMany."""
        raise NotImplementedError

    def which(self, form: Any) -> str:
        """A sentence for what was answered to `question`."""
        return ""

    def failure(self, row: Any) -> tuple[Text, str]:
        """What a disarmed row to look at is called, and what went wrong with it."""
        return named(row), ""

    def chosen(self, rows: QuerySet[Any]) -> list[int]:
        """Primary keys of what was selected. Raises TooMany."""
        pks = list(rows.values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        if len(pks) > MOST_AT_ONCE:
            told = _("More than %(most)d are selected, which is too many at once. Nothing was done. Select fewer.")
            raise TooMany(told % {"most": MOST_AT_ONCE})
        return pks

    def plan(self, pks: list[int], links: Links) -> Plan:
        """What it would do to these rows of its admin."""
        raise NotImplementedError

    def do(self, pk: int, errand: Errand) -> Ended:
        """Do it to one row, read afresh, and write the history."""
        raise NotImplementedError

    def download(self, request: HttpRequest, errand: Errand) -> HttpResponseBase | None:
        """The file that the deed makes; None of one that is done row by row."""
        return None

    def word(self, code: str) -> Text:
        return self.words.get(code, _ERROR if code == "error" else code)


_ERROR: Text = gettext_lazy("an error, see the server's log")


def counted_orders(count: int) -> str:
    return ngettext("%(count)d order", "%(count)d orders", count) % {"count": count}


def sentence(*counts: str) -> str:
    """`1 delivery, 1 order.`"""
    return _("%(counts)s.") % {"counts": commas(counts)}


def joined(names: Iterable[str]) -> str:
    """`a, b and c`."""
    *several, last = sorted(set(names)) or [""]
    return _("%(several)s and %(last)s") % {"several": commas(several), "last": last} if several else last


def table(title: Text, columns: Sequence[Text], counted: Mapping[Any, int]) -> list[Panel]:
    """A table of groups and how many are in each; no table of nothing."""
    if not counted:
        return []
    rows = [[*map(Cell, group), Cell(str(count))] for group, count in Counter(counted).most_common(MOST_LISTED)]
    note = "" if len(counted) <= MOST_LISTED else _("The %(count)d largest groups.") % {"count": MOST_LISTED}
    return [Panel(title=title, columns=[*columns, _("how many")], rows=rows, note=note)]


def not_done(why: Mapping[Any, int]) -> list[Panel]:
    return table(_("What is not done, and why"), [_("why")], why)


def listed(title: Text, columns: Sequence[Text], rows: Sequence[Sequence[Cell]], count: int) -> list[Panel]:
    """The first rows themselves."""
    if not rows:
        return []
    note = "" if count <= len(rows) else _("The first %(shown)d of %(count)d.") % {"shown": len(rows), "count": count}
    return [Panel(title=title, columns=columns, rows=rows, note=note)]
