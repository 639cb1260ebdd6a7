"""API v2: flat XML with a `sign` element, MD5 or HMAC-SHA256 under the API v2 key; refunds are encrypted instead.

Never lets the message choose the algorithm.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from .errors import AlgorithmRefused, Malformed, NotificationError, SignatureInvalid, Unsigned
from .flatxml import parse_xml
from .moments import beijing
from .sealed import decrypt
from .types import Kind, Merchant, Notification, SignType

SIGN_LENGTHS: dict[int, SignType] = {32: "MD5", 64: "HMAC-SHA256"}
"""Hex digits of `sign`; notices of HMAC orders often carry no sign_type, the length tells (protocol, 1.2)."""

AES_BLOCK = 16
API_V3_KEY_BYTES = 32
"""AES-GCM takes 16 and 24 too, and a wrong APIv3 key stops v3's callbacks before they come this far, not v2's."""

SCAN = "v2.SCAN"
_SHAPES = (
    (SCAN, frozenset({"appid", "mch_id", "openid", "product_id"})),
    ("v2.CONTRACT", frozenset({"change_type", "contract_code"})),
    ("v2.VEHICLE", frozenset({"vehicle_event_type"})),
    ("v2.VEHICLE", frozenset({"plate_number", "vehicle_event_createtime"})),
    ("v2.RISK", frozenset({"event_code", "transaction_id_list"})),
)
"""Event type, and the elements that all are there: v2 names no types, a notice about no order is told by its shape
(protocol, 1.5 to 1.7). Those of vehicles and risks are documented with HMAC-SHA256; MD5 is refused for them where
V2_SIGN_TYPE says so and nowhere else: a shape is the sender's word, and has no say about algorithms."""
_WHOSE = ("mch_id", "sub_mch_id", "appid", "sub_appid", "app_id")
"""Elements beside an event_ciphertext or req_info that say whose it is; app_id is how older pages spell it."""

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
_HEX = re.compile(r"[0-9A-Fa-f]+")
_SIGNED_FOR_PAYERS = ("timeStamp", "timestamp", "time_stamp")
"""Texts under the same key that payers see (paySign, product codes, contract links) carry one; no notice does."""
_REREAD = {
    "payment": re.compile(f"&(?:{'|'.join(_MONEY_FIELDS)})="),
    "event": re.compile(f"&(?:{'|'.join(_MONEY_FIELDS + _SIGNED_FOR_PAYERS)})="),
}
"""The string to sign is not injective: such a value could be re-read as other fields under the same sign. A payment's
attach may hold a timestamp; no text that payers see has the fields of a payment."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What proved a notice."""

    signed: bytes = field(repr=False)
    """The text that was signed, without the key."""
    key: str = field(repr=False)
    algorithm: SignType


def parse_notification(headers: Mapping[str, str], body: bytes, merchant: Merchant, *, now: float) -> Notification:
    """Prove and parse one v2 notice. `headers` and `now` play no part: v2 signs neither a header nor a time.

    Raises only NotificationError. Source: "signature algorithm" and "payment result notification", protocol 1.2–1.3.
    """
    del headers, now
    fields = parse_xml(body, "xml")
    if "req_info" in fields and "sign" not in fields:
        return _refund(fields, merchant)
    proof = verify(fields, merchant)
    kind = _kind(fields)
    _check_reading(fields, _REREAD[kind])
    if "event_ciphertext" in fields:
        return _event(fields, merchant)
    return Notification(
        version="v2",
        kind=kind,
        notification_id="",
        event_type=_event_type(fields) if kind == "event" else "",
        resource=fields,
        created_at=None,
        digest=hashlib.sha256(proof.signed).hexdigest(),
    )


def verify(fields: Mapping[str, str], merchant: Merchant) -> Proof:
    """Check `sign` with the algorithm the merchant allows and each of its keys; raise NotificationError."""
    sign = fields.get("sign", "")
    if not sign:
        raise Unsigned("the sign element is missing or empty")
    algorithm = SIGN_LENGTHS.get(len(sign)) if _HEX.fullmatch(sign) else None
    if algorithm is None:
        raise SignatureInvalid("sign is not 32 or 64 hex digits")
    for name in ("sign_type", "algorithm"):  # the latter beside an event_ciphertext
        named = fields.get(name) or algorithm
        if named != algorithm:
            raise AlgorithmRefused(f"{name} is {named[:32]!r}, but sign has the length of {algorithm}")
    if merchant.v2_sign_type == "HMAC-SHA256" and algorithm == "MD5":
        raise AlgorithmRefused("the notice is signed with MD5; V2_SIGN_TYPE allows HMAC-SHA256 alone")
    signed = _joined(fields)
    for key in merchant.api_v2_keys:
        if hmac.compare_digest(sign.upper(), _sign(signed, key, algorithm)):
            return Proof(signed, key, algorithm)
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


def _joined(fields: Mapping[str, str | None]) -> bytes:
    # Unknown fields are signed too; the order is ASCII, so that A_upper comes before appid.
    parts = [f"{name}={value}" for name, value in sorted(fields.items()) if name != "sign" and value]
    return "&".join(parts).encode()


def _check_reading(fields: Mapping[str, str], reread: re.Pattern[str]) -> None:
    """Refuse what is under our key and no notice. Not proven: a payer could send it again and again."""
    for name, value in fields.items():
        if "&" in value and reread.search(value):
            raise Malformed(f"{name} contains text that could be re-read as another field")
    if not fields.keys().isdisjoint(_SIGNED_FOR_PAYERS) or not (fields.get("mch_id") or fields.get("combine_mch_id")):
        raise Malformed("a text signed for payers, or without mch_id: no notice")


def _event(fields: Mapping[str, str], merchant: Merchant) -> Notification:
    """A notice of deposit-free rental or stay: signed like any, its content sealed under the APIv3 key (protocol, 1.7).

    Never a payment of an order, though one of its types is called TRANSACTION.SUCCESS.
    """
    event_type = fields.get("event_type", "")
    if not event_type or event_type.startswith("v2."):  # those are the names of _SHAPES
        raise Malformed("event_type is missing or none of WeChat's", proven=True)
    resource = {name: fields.get(f"event_{name}") for name in ("algorithm", "nonce", "associated_data", "ciphertext")}
    plaintext = decrypt(resource, [key for key in merchant.api_v3_keys if len(key) == API_V3_KEY_BYTES])
    try:
        inner = parse_xml(plaintext, "xml")
    except NotificationError as error:
        raise Malformed(f"event_ciphertext holds {error.detail}", proven=True) from error
    return Notification(
        version="v2",
        kind="event",
        notification_id=fields.get("event_id", ""),
        event_type=event_type,
        resource=inner | {name: fields[name] for name in _WHOSE if name in fields},
        created_at=beijing(fields.get("event_create_time", "")),
        digest=hashlib.sha256(plaintext).hexdigest(),
    )


def holds_event(body: bytes) -> bool:
    """Whether this body, which was parsed before, is a notice with event_ciphertext; it is answered in two forms."""
    return b"<event_ciphertext" in body and "event_ciphertext" in parse_xml(body, "xml")


def _refund(fields: Mapping[str, str], merchant: Merchant) -> Notification:
    """A refund notice: no sign, its content encrypted (protocol, 1.4). Every failure is the same SignatureInvalid."""
    # Nothing proves these: they add whose it is, and neither replace nor complete what req_info says.
    outer = {name: fields[name] for name in _WHOSE if name in fields}
    for key in merchant.api_v2_keys:
        plaintext = open_req_info(fields["req_info"], key)
        try:
            inner = parse_xml(plaintext, "root")
        except NotificationError:
            continue
        return Notification(
            version="v2",
            kind="refund",
            notification_id="",
            event_type="",
            resource=outer | inner,
            created_at=None,
            digest=hashlib.sha256(plaintext).hexdigest(),
        )
    raise SignatureInvalid("req_info does not open with API_V2_KEY")


def open_req_info(req_info: str, key: str) -> bytes:
    """Decrypt AES-256-ECB under the lower-case hex of the key's MD5, whatever comes out.

    A wrong padding is left on, for the XML parser to refuse: it must look, and take, like any other failure.
    """
    try:
        sealed = base64.b64decode("".join(req_info.split()), validate=True)
        decryptor = Cipher(AES(req_info_key(key)), ECB()).decryptor()  # noqa: S305 (WeChat's choice)
        padded = decryptor.update(sealed) + decryptor.finalize()
    except ValueError:
        return b""
    length = padded[-1] if padded else 0
    return padded[:-length] if 1 <= length <= AES_BLOCK and padded.endswith(bytes([length]) * length) else padded


def req_info_key(key: str) -> bytes:
    """The AES key of `req_info` (protocol, 1.4)."""
    return hashlib.md5(key.encode(), usedforsecurity=False).hexdigest().encode()


def _kind(fields: Mapping[str, str]) -> Kind:
    return "payment" if _PAYMENT_MARKS & fields.keys() and "event_ciphertext" not in fields else "event"


def _event_type(fields: Mapping[str, str]) -> str:
    return next((event_type for event_type, marks in _SHAPES if marks <= fields.keys()), "")
