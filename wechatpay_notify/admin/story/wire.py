"""Wire: what WeChat sent and what it was answered, to the byte, as a person may see it.

Never shows a personal value whole: bytes that hold one are shown masked, and it is said that they are.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from wechatpay_notify.admin.cells import Cell, Panel, Text
from wechatpay_notify.admin.disclosure import MAX_SHOWN, body_text, hidden, json_text, plain, shown_text, whats_masked
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.outcomes import OUTCOMES
from wechatpay_notify.protocol import answers
from wechatpay_notify.protocol.errors import NotificationError
from wechatpay_notify.protocol.types import Version
from wechatpay_notify.protocol.v3 import strict_json
from wechatpay_notify.questions import QUESTIONS


@dataclass(frozen=True, slots=True)
class Pane:
    """One side of the wire."""

    title: Text
    parts: list[Panel]


def panes(row: NotificationLog) -> list[Pane]:
    """Both sides; the row with its body, headers and resource loaded."""
    return [Pane(_("What WeChat sent"), _sent(row)), Pane(_("What we answered"), [_answered(row)])]


def escaped(body: bytes) -> str:
    r"""These bytes in printable ASCII: `\\`, `\r`, `\n`, `\t` and `\x` with two digits, as in Python's bytes literals.

    A line feed also begins a new line here, which stands for nothing.
    """
    return "".join(_ESCAPES[byte] for byte in body)


def _sent(row: NotificationLog) -> list[Panel]:
    body = bytes(row.body)
    text, form = body_text(body)
    headers = [[Cell(plain(str(name))), Cell(shown_text(str(value)))] for name, value in (row.headers or {}).items()]
    facts = _("%(bytes)d bytes, SHA-256 %(digest)s.") % {
        "bytes": len(body),
        "digest": hashlib.sha256(body).hexdigest(),
    }
    parts = []
    if row.resource is not None:
        fields = row.api_version == NotificationLog.Version.V2
        parts.append(Panel(title=_("Fields") if fields else _("Decrypted resource"), text=json_text(row.resource)))
    parts.append(Panel(title=_("Body"), text=text, note=f"{form} {facts} {whats_masked()}"))
    parts.append(_to_the_byte(body))
    none = "" if headers else _("None of the headers that are kept.")
    parts.append(Panel(title=_("Headers"), columns=[_("name"), _("value")], rows=headers, note=none))
    return parts


def _to_the_byte(body: bytes) -> Panel:
    title = _("Body to the byte")
    try:
        value: Any = strict_json(body, "the body")
    except (NotificationError, RecursionError):
        text = body.decode(errors="surrogateescape")
        masked = hidden(text)
        same, shown = masked == text, masked.encode(errors="surrogateescape")
    else:
        same, shown = hidden(value) == value, body
    if not same and shown is body:  # where JSON hides a value, its text may spell it in ways that no mask would find
        return Panel(title=title, note=_("Not shown: it has personal values. They are masked in the text above."))
    note = _(r"Every byte as it came: \n ends a line, \r is a carriage return, \x and two digits any other byte.")
    if not same:
        note = _("The bytes as they came, but for the personal values in them, which are masked.")
    if len(shown) > MAX_SHOWN:
        cut = _("Cut here: the first %(shown)d of %(all)d bytes are shown.")
        note = f"{note} {cut % {'shown': MAX_SHOWN, 'all': len(shown)}}"
    return Panel(title=title, text=escaped(shown[:MAX_SHOWN]) or _("(empty)"), note=note)


def _answered(row: NotificationLog) -> Panel:
    title, outcome = _("Answer"), OUTCOMES.get(row.outcome)
    version: Version = "v2" if row.api_version == NotificationLog.Version.V2 else "v3"
    if row.replay_of is not None:
        return Panel(title=title, note=_("WeChat was answered nothing: this was processed again from stored bytes."))
    if row.http_status is None:
        return Panel(title=title, note=_("No answer was recorded: the process was stopped before it could give one."))
    status = _("HTTP %(status)d, %(type)s") % {"status": row.http_status, "type": answers.CONTENT_TYPES[version]}
    if outcome is None:
        return Panel(title=title, note=status)
    if outcome.acknowledged and row.verified and QUESTIONS.get(row.event_type) == version:
        own = _("It was a question: the body was the shop's own answer, which is not stored.")
        return Panel(title=title, note=f"{status}. {own}")
    text = answers.fixed(version, outcome.word, bytes(row.body), proven=row.verified)
    size = _("%(bytes)d bytes, exactly these:") % {"bytes": len(text.encode())}
    return Panel(title=title, text=text, note=f"{status}; {size}")


_NAMED = {0x5C: "\\\\", 0x0A: "\\n\n", 0x0D: "\\r", 0x09: "\\t"}
_PRINTABLE = range(0x20, 0x7F)
_ESCAPES = [_NAMED.get(byte, chr(byte) if byte in _PRINTABLE else f"\\x{byte:02x}") for byte in range(256)]
