"""Mutations: what a body may have been before something between WeChat and the app rewrote it.

Never more than a hundred candidates, and none for a body of more than 64 KiB.
"""

import contextlib
import html
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from wechatpay_notify.protocol.errors import NotificationError
from wechatpay_notify.protocol.v3 import strict_json

MAX_EXAMINED = 64 * 1024
MAX_MEMBERS = 200
"""Commas of a JSON body that is written anew; an envelope of WeChat's has ten."""
BOM = b"\xef\xbb\xbf"
CHARSETS = ("latin-1", "cp1252", "gbk")

_ORDER = (
    *("id", "create_time", "resource_type", "event_type", "summary", "resource"),
    *("original_type", "algorithm", "ciphertext", "associated_data", "nonce"),
)
"""The names of an envelope as WeChat writes them (protocol, 2.4)."""
_STYLES: tuple[tuple[int | str | None, tuple[str, str]], ...] = (
    (None, (",", ":")),
    (None, (", ", ": ")),
    (None, (",", ": ")),
    (2, (",", ": ")),
    (4, (",", ": ")),
    ("\t", (",", ": ")),
)
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_FORM_NAME = re.compile(rb"\A[\w.\-]{1,32}=")
_SPACE_IN_TEXT = re.compile(rb'(?<=["\w+/ ]) (?=["\w+/= ])')


def variants(body: bytes) -> Iterator[tuple[str, bytes]]:
    """(code of what was done to it, what it may have been), the likeliest first."""
    if len(body) > MAX_EXAMINED:
        return
    for code, candidate in _all(body):
        if candidate != body:
            yield code, candidate


def _all(body: bytes) -> Iterator[tuple[str, bytes]]:
    yield "newline_added", body.removesuffix(b"\n").removesuffix(b"\r")
    yield from (("newline_lost", body + end) for end in (b"\n", b"\r\n"))
    yield "line_ends", body.replace(b"\r\n", b"\n")
    yield "line_ends", body.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "bom", body.removeprefix(BOM)
    yield "bom", BOM + body
    yield "space_around", body.strip()
    yield from (("space_around", candidate) for candidate in (body + b" ", b" " + body, b"\n" + body))
    yield from (("compressed", candidate) for candidate in _unpacked(body))
    yield from (("form_encoded", candidate) for candidate in _unformed(body))
    yield "plus_lost", _SPACE_IN_TEXT.sub(b"+", body)
    yield from _recoded(body)
    yield from _rewritten(body)


def _unpacked(body: bytes) -> Iterator[bytes]:
    if body[:2] == b"\x1f\x8b" or body[:1] == b"\x78":
        try:
            yield zlib.decompressobj(47).decompress(body, MAX_EXAMINED)  # 47: gzip or zlib, by its head
        except zlib.error:
            return


def _unformed(body: bytes) -> Iterator[bytes]:
    """A body that was taken for a form: percent-encoded, perhaps under a name, perhaps as a name without a value."""
    if b"%" not in body and not body.endswith(b"=") and not _FORM_NAME.match(body):
        return
    for start in dict.fromkeys((body, _FORM_NAME.sub(b"", body))):
        for text in dict.fromkeys((start, start.removesuffix(b"="))):
            yield unquoted(text.replace(b"+", b" "))
            yield unquoted(text)


def unquoted(text: bytes) -> bytes:
    """Percent-encoding undone."""
    return _PERCENT.sub(lambda found: bytes([int(found[1], 16)]), text)


def _recoded(body: bytes) -> Iterator[tuple[str, bytes]]:
    for charset in CHARSETS:
        for read, written in (("utf-8", charset), (charset, "utf-8")):
            try:
                yield "charset", body.decode(read).encode(written)
            except UnicodeError:
                continue
    with contextlib.suppress(ValueError):  # &#999…9;
        yield "html_escaped", html.unescape(body.decode()).encode()


def _rewritten(body: bytes) -> Iterator[tuple[str, bytes]]:
    """The JSON in each of the usual ways to write it."""
    if body.count(b",") > MAX_MEMBERS:
        return
    try:
        if body.lstrip()[:1] == b'"':  # written as a text of JSON
            inner = json.loads(body)
            yield "json_string", inner.encode() if isinstance(inner, str) else b""
            return
        value = strict_json(body.removeprefix(BOM), "the body")
    except (NotificationError, ValueError, RecursionError):
        return
    for ordered in (value, _documented(value), _sorted(value)):
        for indent, separators in _STYLES:
            for ascii_only in (False, True):
                text = json.dumps(ordered, indent=indent, separators=separators, ensure_ascii=ascii_only)
                for written in (text, text.replace("/", "\\/")):
                    yield "json_rewritten", written.encode(errors="replace")


def _documented(value: Any) -> Any:
    rank = {name: place for place, name in enumerate(_ORDER)}
    return _arranged(value, lambda name: (rank.get(name, len(rank)), name))


def _sorted(value: Any) -> Any:
    return _arranged(value, lambda name: (0, name))


def _arranged(value: Any, place: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _arranged(value[name], place) for name in sorted(value, key=place)}
    return [_arranged(part, place) for part in value] if isinstance(value, list) else value
