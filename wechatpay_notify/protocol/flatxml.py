"""Flat XML: the one form of XML that v2 uses, a root and its named texts, read by one parser in one way.

Never reads what two parsers could read differently.
"""

import re
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

import xmltodict

from .errors import Malformed, TooLarge

MAX_XML_BYTES = 64 * 1024
"""Many times the largest documented notice; xmltodict takes at most 40 ms for it (measured)."""
MAX_FIELDS = 300
MAX_TAGS = 4 * MAX_FIELDS
""""<" of as many fields: two tags and a CDATA each, and room for the root."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_TEXT = re.compile("[\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
"""Characters that XML can carry, without CR: who reads one back gets LF, and a sign over it would not hold."""


def parse_xml(body: bytes, root: str) -> dict[str, str]:
    """The children of `<root>`, name → text as it stands; empty elements are left out.

    Refused as Malformed: anything but UTF-8, a DOCTYPE, comments, processing instructions, attributes, nested or
    repeated elements, text between elements, more than 300 fields. TooLarge over 64 KiB.
    """
    if len(body) > MAX_XML_BYTES:
        raise TooLarge(f"the XML has {len(body)} bytes; allowed are {MAX_XML_BYTES}")
    if body.count(b"<") > MAX_TAGS:  # before parsing: 64 KiB of <a/> keep xmltodict busy for a tenth of a second
        raise Malformed("more elements than any notice has")
    try:
        body.decode()
        # strip_whitespace would break good signatures over padded values.
        document = xmltodict.parse(body, encoding="utf-8", expat=_StrictExpat, strip_whitespace=False)
    except (ValueError, expat.ExpatError) as error:  # ValueError: also UnicodeDecodeError, and _refuse
        raise Malformed(f"no strict XML: {str(error)[:100]}") from error
    content = document.get(root) if document else None
    if not isinstance(content, dict):
        raise Malformed(f"no fields in a root element <{root}>")
    if str(content.pop("#text", "")).strip():
        raise Malformed("text between the elements")
    if len(content) > MAX_FIELDS:
        raise Malformed(f"{len(content)} fields; allowed are {MAX_FIELDS}")
    for name, value in content.items():
        # xmltodict gives a list for a repeated element, a dict for children or attributes, "@name" for an attribute.
        if not _NAME.fullmatch(name) or not (value is None or isinstance(value, str)):
            raise Malformed(f"element {name[:64]!r} is repeated, nested, namespaced or has attributes")
    return {name: value for name, value in content.items() if value}


def write_xml(fields: Mapping[str, str]) -> str:
    """`<xml>` around these children, to be read back as they are. Raises TypeError or ValueError for what cannot be."""
    for name, value in fields.items():
        if not (_NAME.fullmatch(name) and _TEXT.fullmatch(value)):
            raise ValueError(f"{name[:64]!a} is no name of an element, or its value no text of XML")
    children = ((name, value.replace("]]>", "]]]]><![CDATA[>")) for name, value in fields.items())
    return f"<xml>{''.join(f'<{name}><![CDATA[{value}]]></{name}>' for name, value in children)}</xml>"


def _refuse(*_: object) -> None:
    raise ValueError("DOCTYPE, comments and processing instructions are refused")


class _StrictExpat:
    """xmltodict's `expat=` hook: a parser that refuses at once what xmltodict would let pass."""

    @staticmethod
    def ParserCreate(encoding: str | None, namespace_separator: str | None) -> Any:  # noqa: N802 (expat's name)
        parser = expat.ParserCreate(encoding, namespace_separator)
        parser.StartDoctypeDeclHandler = _refuse
        parser.CommentHandler = _refuse
        parser.ProcessingInstructionHandler = _refuse
        parser.XmlDeclHandler = _check_declaration
        return parser


def _check_declaration(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() != "utf-8":
        raise ValueError("the declared encoding is not UTF-8")
