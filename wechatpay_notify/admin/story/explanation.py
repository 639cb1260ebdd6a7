"""Explanation: what a state of affairs means and what to do about it, in words a shop assistant reads.

Never holds markup, and nothing of a sender's that was not made plain.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from wechatpay_notify.admin.cells import Cell
from wechatpay_notify.admin.disclosure import local, masked_text, moment, money, plain

Text = str | Promise
MAX_QUOTED = 300
"""Characters of a stored text that a sentence quotes."""
_SHORT = 16
_PUBLIC_KEY = "PUB_KEY_ID_"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Two sentences or so: what it means, and what to do next."""

    meaning: Text
    next_step: Text = ""
    tone: str = "quiet"
    """good, bad, warn or quiet."""
    about: tuple[Cell, ...] = ()
    """What the sentences are about, for a link to each."""


def quoted(text: object) -> str:
    """Something of the sender's or of a receiver's inside a sentence: masked, plain, not too long."""
    shown = plain(masked_text(str(text)))
    return shown if len(shown) <= MAX_QUOTED else f"{shown[:MAX_QUOTED]}…"


def short(serial: str) -> str:
    """The serial of a key as a person compares it: `7132D7…0000`, `PUB_KEY_ID_0114…0000`."""
    serial = quoted(serial)
    head = len(_PUBLIC_KEY) + 4 if serial.startswith(_PUBLIC_KEY) else 6
    return serial if len(serial) <= max(_SHORT, head + 5) else f"{serial[:head]}…{serial[-4:]}"


def price(amount: int, currency: str) -> str:
    """`￥12.34`, without the fen: for a sentence."""
    if currency != "CNY":
        return money(amount, currency)
    yuan, fen = divmod(abs(amount), 100)
    return f"{'-' if amount < 0 else ''}￥{yuan}.{fen:02d}"


def clock(value: datetime, beside: datetime | None = None) -> str:
    """The time of day where the date is clear: on the day of `beside` (today if not given); else all of it."""
    day, here = local(beside or timezone.now()).date(), local(value)
    return here.strftime("%H:%M:%S") if here.date() == day else moment(value)


def span(length: timedelta) -> str:
    """A length of time in its largest unit: `4 min`."""
    seconds = max(round(length.total_seconds()), 0)
    for size, unit in ((86400, _("%(count)d d")), (3600, _("%(count)d h")), (60, _("%(count)d min"))):
        if seconds >= 2 * size or (size == 60 and seconds >= size):
            return unit % {"count": seconds // size}
    return _("%(count)d s") % {"count": seconds}


def times(count: int) -> str:
    return ngettext("once", "%(count)d times", count) % {"count": count}


def listed(parts: Iterable[object]) -> str:
    return ", ".join(str(part) for part in parts)
