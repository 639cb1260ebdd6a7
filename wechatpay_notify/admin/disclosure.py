"""Disclosure: stored data as a person may see it, personal values masked and odd characters made visible.

Never returns markup: everything here is plain text that a template escapes.
"""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext as _

from wechatpay_notify.models.fields import ExactCharField
from wechatpay_notify.protocol.errors import NotificationError
from wechatpay_notify.protocol.v3 import strict_json

Row = TypeVar("Row", bound=models.Model)

MAX_SHOWN = 100_000
"""Characters of a block of text that a page shows; a v3 body may have 2 MiB."""
SHORTEST_PARTLY_SHOWN = 16
"""An openid has 28 characters; of a telephone number four and four would be nearly all."""

_OPENIDS = "openid|unionid"
_OTHERS = "phone_number|phone|mobile|user_name|id_card_number|bank_account|account_number"
_OPENID = re.compile(
    r"(?:(?<![\w+/=\-])|(?<=%[0-9A-Fa-f]{2})|(?<=[\w\-][/=]))o(?=[\w\-]{0,26}[A-Z])[\w\-]{27}(?![\w+/=\-])", re.ASCII
)
"""An openid by its looks, wherever it stands: in an address or a form too, though seldom a piece of base64 looks so.
One always has a capital, an order number beginning with o seldom."""
_MASKED = re.compile(r".{0,4}….{0,4}")
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Characters that are invisible or turn the reading direction, and what UTF-8 cannot write (lone surrogates)."""


@dataclass(frozen=True, slots=True)
class Mask:
    """Which values are personal, by the names that they go by."""

    names: re.Pattern[str]
    element: re.Pattern[str]
    named_value: re.Pattern[str]


def _mask(names: str) -> Mask:
    # The repetitions are bounded and never give back (possessive), so that no body makes these slow.
    return Mask(
        names=re.compile(rf".*(?:{names})", re.IGNORECASE | re.DOTALL),
        element=re.compile(
            rf"(<[\w.:\-]{{0,32}}(?:{names})(?:\s[^<>]{{0,99}})?>\s{{0,99}}+(?:<!\[CDATA\[)?)([^<\]]{{1,512}}+)(?=(?:\]\]>)?+\s{{0,99}}+</)",
            re.IGNORECASE | re.DOTALL,
        ),
        named_value=re.compile(
            rf"((?:{names})[\\\"'\s]{{0,8}}[:=>\"'][\\\"'\s:=>]{{0,8}}(?:<!\[CDATA\[)?)([^\s\"'<>&,;\\\]}})]+)",
            re.IGNORECASE,
        ),
    )


EVERYTHING, ALL_BUT_OPENIDS = _mask(f"{_OPENIDS}|{_OTHERS}"), _mask(_OTHERS)
_mask_of_reader: ContextVar[Mask] = ContextVar("mask of the reader", default=EVERYTHING)
"""Of whoever reads the page that is being made; outside of a page, everything."""


@contextlib.contextmanager
def openids_whole(allowed: bool) -> Iterator[None]:
    """What `disarmed`, `json_text` and `body_text` show meanwhile: openids whole, if the reader may see them."""
    before = _mask_of_reader.set(ALL_BUT_OPENIDS if allowed else EVERYTHING)
    try:
        yield
    finally:
        _mask_of_reader.reset(before)


def whats_masked() -> str:
    """A sentence about the page that is being made."""
    if _mask_of_reader.get() is EVERYTHING:
        return _("Personal values are masked.")
    return _("Personal values are masked, but not openids, which you may see.")


def masked(value: Any) -> str:
    """`oUpF…eS6o` for an openid; of anything shorter than 16 characters, or no text, nothing is shown."""
    if not isinstance(value, str):
        return "…"
    if not value or _MASKED.fullmatch(value):
        return value
    return f"{value[:4]}…{value[-4:]}" if len(value) >= SHORTEST_PARTLY_SHOWN else "…"


def masked_text(text: str, mask: Mask = EVERYTHING) -> str:
    """Free text (XML, JSON, a traceback) with the personal values in it masked."""
    return replaced_text(text, masked, mask)


def masked_json(value: Any, mask: Mask = EVERYTHING) -> Any:
    """A JSON value with the values of personal names masked, at any depth."""
    return replaced_json(value, masked, mask)


def replaced_text(text: str, replace: Callable[[str], str], mask: Mask = EVERYTHING) -> str:
    """Free text with each personal value in it replaced."""
    for named in (mask.element, mask.named_value):
        text = named.sub(lambda found: found[1] + replace(found[2]), text)
    return text if mask is ALL_BUT_OPENIDS else _OPENID.sub(lambda found: replace(found[0]), text)


def replaced_json(value: Any, replace: Callable[[Any], Any], mask: Mask = EVERYTHING) -> Any:
    """A JSON value with the values of personal names replaced, at any depth."""
    if isinstance(value, dict):
        return {
            name: replace(part)
            if mask.names.fullmatch(str(name)) and part is not None
            else replaced_json(part, replace, mask)
            for name, part in value.items()
        }
    if isinstance(value, list):
        return [replaced_json(part, replace, mask) for part in value]
    return replaced_text(value, replace, mask) if isinstance(value, str) else value


def plain(text: str) -> str:
    """Text whose control, direction and invisible characters are spelt out, as `\\u202e`."""
    return _ODD.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def hidden(value: Any) -> Any:
    """A text or JSON value masked as whoever reads the page needs it, its odd characters as they are."""
    return masked_json(value, _mask_of_reader.get())


def shown_text(text: str) -> str:
    """A text as whoever reads the page may see it, in one line with the rest."""
    return plain(masked_text(text, _mask_of_reader.get()))


def disarmed(row: Row) -> Row:
    """The row itself, its loaded text columns made plain and masked, for showing. It must not be saved afterwards."""
    mask = _mask_of_reader.get()
    for field in row._meta.concrete_fields:
        value = row.__dict__.get(field.attname)  # not getattr, which would load a deferred column
        if isinstance(value, str):
            # Numbers and identifiers are shown whole: they are what a person compares.
            hidden = masked(value) if mask.names.fullmatch(field.attname) else value
            text = hidden if isinstance(field, ExactCharField) else masked_text(hidden, mask)
            row.__dict__[field.attname] = plain(text)
    return row


def is_personal(name: str) -> bool:
    """Whether a column or element of this name holds a personal value."""
    return EVERYTHING.names.fullmatch(name) is not None


def json_text(value: Any) -> str:
    """A stored JSON value, indented, masked and plain."""
    try:
        return _indented(value)
    except RecursionError:
        return _("Nested too deeply to be shown.")


def body_text(body: bytes) -> tuple[str, str]:
    """A body as text to read, and in what form that text stands."""
    try:
        return _indented(strict_json(body, "the body")), _("JSON, indented.")
    except (NotificationError, RecursionError):
        text = body.decode(errors="backslashreplace")
    if text.encode() != body:
        form = _(r"Not UTF-8: odd bytes are written as \x and two digits.")
    elif text.lstrip().startswith("<"):
        form, text = _("XML, one element a line."), _one_element_a_line(text)
    else:
        form = _("Text as it stands.")
    return plain(masked_text(_cut(text), _mask_of_reader.get())), form


def money(amount: int | None, currency: str) -> str:
    """`￥12.34 (1234 fen)`; other currencies in their minor unit alone, for not all have a hundred to one."""
    if amount is None:
        return ""
    if currency != "CNY":
        return _("%(amount)d %(currency)s (minor unit)") % {"amount": amount, "currency": currency}
    yuan, fen = divmod(abs(amount), 100)
    return _("%(yuan)s (%(fen)d fen)") % {"yuan": f"{'-' if amount < 0 else ''}￥{yuan}.{fen:02d}", "fen": amount}


def local(value: datetime) -> datetime:
    """In the site's time zone; as it is where the site has none (USE_TZ = False)."""
    return timezone.localtime(value) if timezone.is_aware(value) else value


def moment(value: datetime | None) -> str:
    """Local time to the second, the same in every language."""
    return local(value).strftime("%Y-%m-%d %H:%M:%S") if value else ""


def _indented(value: Any) -> str:
    return _cut(plain(json.dumps(masked_json(value, _mask_of_reader.get()), ensure_ascii=False, indent=2)))


def _one_element_a_line(text: str) -> str:
    text = re.sub(r"\A(\s{0,9}<\w{1,32}>)\s{0,99}(?=<)", r"\1\n  ", text)
    text = re.sub(r"(</[^<>\s]{1,64}>)\s{0,99}(?=<)", r"\1\n  ", text)
    return re.sub(r"\n  (</\w{1,32}>\s*)\Z", r"\n\1", text)


def _cut(text: str) -> str:
    if len(text) <= MAX_SHOWN:
        return text
    cut = _("… cut here: %(shown)d of %(all)d characters are shown") % {"shown": MAX_SHOWN, "all": len(text)}
    return f"{text[:MAX_SHOWN]}\n{cut}"
