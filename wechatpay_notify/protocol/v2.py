"""API v2: flat XML with a `sign` element, MD5 or HMAC-SHA256 under the API v2 key.

Never lets the message choose the algorithm, and never reads XML that two parsers could read differently.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

import xmltodict

from .errors import AlgorithmRefused, Malformed, SignatureInvalid, TooLarge, Unsigned
from .types import Kind, Merchant, Notification, SignType

MAX_XML_BYTES = 64 * 1024
"""Many times the largest documented notice; xmltodict takes at most 40 ms for it (measured)."""
MAX_FIELDS = 300
MAX_TAGS = 4 * MAX_FIELDS
""""<" of as many fields: two tags and a CDATA each, and room for the root."""
SIGN_LENGTHS: dict[int, SignType] = {32: "MD5", 64: "HMAC-SHA256"}
"""Hex digits of `sign`; notices of HMAC orders often carry no sign_type, the length tells (protocol, 1.2)."""

_MONEY_FIELDS = (
    "appid",
    "mch_id",
    "sub_mch_id",
    "out_trade_no",
    "transaction_id",
    "total_fee",
    "fee_type",
    "result_code",
    "return_code",
)
_PAYMENT_MARKS = frozenset({"out_trade_no", "combine_out_trade_no", "total_fee"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-]*")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_RESPLIT = re.compile(f"&(?:{'|'.join(_MONEY_FIELDS)})=")
"""The string to sign is not injective: such a value could be re-read as other fields under the same sign."""
_SIGNED_FOR_PAYERS = frozenset({"timeStamp", "timestamp", "time_stamp"})
"""Texts under the same key that payers see (paySign, product codes, contract links) carry one; no notice does."""


def parse_notification(headers: Mapping[str, str], body: bytes, merchant: Merchant, *, now: float) -> Notification:
    """Prove and parse one v2 notice. `headers` and `now` play no part: v2 signs neither a header nor a time.

    Raises only NotificationError. Source: "signature algorithm" and "payment result notification", protocol 1.2–1.3.
    """
    del headers, now
    fields = parse_xml(body, "xml")
    signed = verify(fields, merchant)
    for name, value in fields.items():
        if "&" in value and _RESPLIT.search(value):
            raise Malformed(f"{name} contains text that could be re-read as another field", proven=True)
    if _SIGNED_FOR_PAYERS & fields.keys() or not (fields.get("mch_id") or fields.get("combine_mch_id")):
        # Not proven: a payer could send it again and again, so it has to stay within the budget.
        raise Malformed("a text signed for payers, or without mch_id: no notice")
    return Notification(
        version="v2",
        kind=_kind(fields),
        notification_id="",
        event_type="",
        resource=fields,
        created_at=None,
        digest=hashlib.sha256(signed).hexdigest(),
    )


def verify(fields: Mapping[str, str], merchant: Merchant) -> bytes:
    """Check `sign` with the algorithm the merchant allows and each of its keys; raise NotificationError.

    Returns what was signed, without the key.
    """
    sign = fields.get("sign", "")
    if not sign:
        raise Unsigned("the sign element is missing or empty")
    algorithm = SIGN_LENGTHS.get(len(sign)) if _HEX.fullmatch(sign) else None
    if algorithm is None:
        raise SignatureInvalid("sign is not 32 or 64 hex digits")
    named = fields.get("sign_type") or algorithm
    if named != algorithm:
        raise AlgorithmRefused(f"sign_type is {named[:32]!r}, but sign has the length of {algorithm}")
    if merchant.v2_sign_type == "HMAC-SHA256" and algorithm == "MD5":
        raise AlgorithmRefused("the notice is signed with MD5; V2_SIGN_TYPE allows HMAC-SHA256 alone")
    signed = _joined(fields)
    for key in merchant.api_v2_keys:
        if hmac.compare_digest(sign.upper(), _sign(signed, key, algorithm)):
            return signed
    raise SignatureInvalid(f"sign ({algorithm}) does not belong to these fields and API_V2_KEY")


def signature(fields: Mapping[str, str | None], key: str, sign_type: SignType) -> str:
    """The `sign` of these fields, upper-case hex (protocol, 1.2). An empty key signs nothing: ValueError."""
    return _sign(_joined(fields), key, sign_type)


def _sign(joined: bytes, key: str, sign_type: SignType) -> str:
    if not key:
        raise ValueError("an empty API v2 key signs nothing")
    text = b"%s&key=%s" % (joined, key.encode())
    if sign_type == "MD5":
        return hashlib.md5(text, usedforsecurity=False).hexdigest().upper()
    return hmac.new(key.encode(), text, hashlib.sha256).hexdigest().upper()


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


def _joined(fields: Mapping[str, str | None]) -> bytes:
    # Unknown fields are signed too; the order is ASCII, so that A_upper comes before appid.
    parts = [f"{name}={value}" for name, value in sorted(fields.items()) if name != "sign" and value]
    return "&".join(parts).encode()


def _kind(fields: Mapping[str, str]) -> Kind:
    return "payment" if _PAYMENT_MARKS & fields.keys() else "event"


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
