"""API v2: flat XML with a `sign` element, MD5 or HMAC-SHA256 under the API v2 key; refunds are encrypted instead.

Never lets the message choose the algorithm.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from .errors import AlgorithmRefused, Malformed, NotificationError, SignatureInvalid, Unsigned
from .flatxml import parse_xml
from .types import Kind, Merchant, Notification, SignType

SIGN_LENGTHS: dict[int, SignType] = {32: "MD5", 64: "HMAC-SHA256"}
"""Hex digits of `sign`; notices of HMAC orders often carry no sign_type, the length tells (protocol, 1.2)."""

AES_BLOCK = 16

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


def parse_notification(headers: Mapping[str, str], body: bytes, merchant: Merchant, *, now: float) -> Notification:
    """Prove and parse one v2 notice. `headers` and `now` play no part: v2 signs neither a header nor a time.

    Raises only NotificationError. Source: "signature algorithm" and "payment result notification", protocol 1.2–1.3.
    """
    del headers, now
    fields = parse_xml(body, "xml")
    if "req_info" in fields and "sign" not in fields:
        return _refund(fields, merchant)
    signed = verify(fields, merchant)
    kind = _kind(fields)
    _check_reading(fields, _REREAD[kind])
    return Notification(
        version="v2",
        kind=kind,
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


def _refund(fields: Mapping[str, str], merchant: Merchant) -> Notification:
    """A refund notice: no sign, its content encrypted (protocol, 1.4). Every failure is the same SignatureInvalid."""
    outer = {name: value for name, value in fields.items() if name != "req_info"}
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
            resource=inner | outer,
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
    return "payment" if _PAYMENT_MARKS & fields.keys() else "event"
