"""Fields: what the elements of a v2 notice may have been before something parsed and wrote them anew.

Never more than about ten candidates for an element; who tries them sets a bound on top.
"""

import html
from collections.abc import Callable, Iterator, Mapping

from .mutations import CHARSETS, unquoted

Fields = Mapping[str, str]

_LOST = {
    "return_code": ("SUCCESS",),
    "result_code": ("SUCCESS",),
    "return_msg": ("OK",),
    "fee_type": ("CNY",),
    "cash_fee_type": ("CNY",),
    "is_subscribe": ("N", "Y"),
    "sign_type": ("MD5", "HMAC-SHA256"),
    "trade_type": ("JSAPI", "NATIVE", "APP", "MWEB", "MICROPAY"),
    "bank_type": ("OTHERS", "CFT", "CMC", "ICBC_DEBIT", "CCB_DEBIT"),
}
"""Elements whose value can be guessed, when something dropped one."""


def variants(fields: Fields) -> Iterator[tuple[str, str, Fields]]:
    """(code of what was done, name of the element or "", what they may have been), the cheapest first."""
    for code, change in _CHANGES:
        changed = {name: value if name == "sign" else change(value) for name, value in fields.items()}
        if changed != fields:
            yield code, "", changed
    for name in fields.keys() - {"sign"}:
        yield "element_added", name, {other: value for other, value in fields.items() if other != name}
    for name, value in _lost(fields):
        yield "element_lost", name, {**fields, name: value}
    for name in fields.keys() - {"sign"}:
        for code, change in (*_CHANGES, *_PADDINGS):
            yield code, name, {**fields, name: change(fields[name])}


def _lost(fields: Fields) -> Iterator[tuple[str, str]]:
    """(name, guessed value) of elements that are not there."""
    guesses = {**_LOST, "cash_fee": (fields.get("total_fee", "1"),), "total_fee": (fields.get("cash_fee", "1"),)}
    for name, values in guesses.items():
        yield from ((name, value) for value in values if name not in fields)


def _recode(read: str, written: str) -> Callable[[str], str]:
    def change(value: str) -> str:
        try:
            return value.encode(read).decode(written)
        except UnicodeError:
            return value

    return change


def _unescaped(value: str) -> str:
    try:
        return html.unescape(value)
    except ValueError:  # &#999…9;
        return value


def _unquoted(value: str) -> str:
    return unquoted(value.replace("+", " ").encode()).decode(errors="replace")


_CHANGES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("values_trimmed", str.strip),
    ("values_escaped", _unescaped),
    ("values_escaped", lambda value: html.escape(value, quote=False)),
    ("values_escaped", html.escape),
    *(("values_charset", _recode(charset, "utf-8")) for charset in CHARSETS),
    *(("values_charset", _recode("utf-8", charset)) for charset in CHARSETS),
    ("values_line_ends", lambda value: value.replace("\n", "\r\n")),
    ("values_encoded", _unquoted),
)
_PADDINGS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("values_trimmed", lambda value: f"{value} "),
    ("values_trimmed", lambda value: f" {value}"),
    ("values_trimmed", lambda value: f"{value}\n"),
)
