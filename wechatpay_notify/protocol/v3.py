"""API v3: JSON, an RSA signature in the headers, the resource under AES-256-GCM.

Never parses, decrypts or believes anything before the signature over the raw bytes holds.
"""

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from .errors import AlgorithmRefused, Malformed, Probe, SignatureInvalid, Stale, UnknownSerial, Unsigned
from .moments import rfc3339
from .sealed import decrypt
from .types import Kind, Merchant, Notification

SIGNATURE_TYPE = "WECHATPAY2-SHA256-RSA2048"
PROBE_PREFIX = "WECHATPAY/SIGNTEST/"
MAX_KEPT_HEADER = 1024
"""Characters of a header's value that are stored; WeChat's are shorter."""
MAX_DEPTH = 32
"""Levels of JSON; documented resources have 5. From about 900 on Python's recursion limit stops whoever copies them."""

_HEADERS = tuple(f"Wechatpay-{name}" for name in ("Timestamp", "Nonce", "Signature", "Serial", "Signature-Type"))
PADDING, SHA256_HASH = PKCS1v15(), SHA256()
KINDS: dict[str, Kind] = {
    "TRANSACTION.SUCCESS": "payment",
    "TRANSACTION.FAIL": "payment",
    "REFUND.SUCCESS": "refund",
    "REFUND.ABNORMAL": "refund",
    "REFUND.CLOSED": "refund",
}


def parse_notification(headers: Mapping[str, str], body: bytes, merchant: Merchant, *, now: float) -> Notification:
    """Prove, parse and decrypt one v3 notification.

    `headers` of the request (names in any case), `body` its exact bytes, `now` in Unix seconds.
    Raises only NotificationError. Source: "signature verification" and "callback decryption", protocol 2.1–2.6.
    """
    verify(headers, body, merchant, now=now)
    envelope = strict_json(body, "the body")
    event_type, resource = envelope.get("event_type"), envelope.get("resource")
    if not isinstance(event_type, str) or not event_type:
        raise Malformed("event_type is missing", proven=True)
    if not isinstance(resource, dict):
        raise Malformed("resource is missing", proven=True)
    plaintext = decrypt(resource, merchant.api_v3_keys)
    return Notification(
        version="v3",
        kind=KINDS.get(event_type, "event"),
        notification_id=_text(envelope.get("id")),
        event_type=event_type,
        resource=strict_json(plaintext, "the decrypted resource"),
        created_at=_moment(envelope.get("create_time")),
        digest=hashlib.sha256(plaintext).hexdigest(),
    )


def verify(headers: Mapping[str, str], body: bytes, merchant: Merchant, *, now: float) -> None:
    """Prove that WeChat signed these bytes now; return nothing or raise NotificationError.

    Order: headers, algorithm, freshness, key by serial, RSA-SHA256 (PKCS#1 v1.5) over `timestamp\\nnonce\\nbody\\n`.
    """
    timestamp, nonce, encoded, serial, signature_type = _read_headers(headers)
    if encoded.startswith(PROBE_PREFIX):
        raise Probe("the signature is WeChat's own test value")
    if signature_type not in (None, SIGNATURE_TYPE):
        raise AlgorithmRefused(f"Wechatpay-Signature-Type is {signature_type[:64]!r}")
    _check_freshness(timestamp, now, merchant.timestamp_tolerance)
    key = merchant.platform_keys.get(serial)
    if key is None:
        known = ", ".join(sorted(merchant.platform_keys)) or "none"
        raise UnknownSerial(f"Wechatpay-Serial is {serial[:64]!r}; configured: {known}")
    if key.not_after is not None and now > key.not_after:
        raise UnknownSerial(f"the platform certificate {key.serial} has expired")
    if key.not_before is not None and now < key.not_before:
        raise UnknownSerial(f"the platform certificate {key.serial} is not valid yet")
    message = signed_text(timestamp, nonce, body)
    try:
        # validate=True: Python's default decoder drops foreign characters, which would make signatures malleable.
        signature = base64.b64decode(encoded, validate=True)
        key.public_key.verify(signature, message, PADDING, SHA256_HASH)
    except ValueError as error:
        raise SignatureInvalid("the signature is no base64") from error
    except InvalidSignature as error:
        raise SignatureInvalid(f"the signature does not verify with {key.serial}") from error


def signed_text(timestamp: str, nonce: str, body: bytes) -> bytes:
    """What WeChat signs of a request (protocol, 2.2)."""
    return b"%s\n%s\n%s\n" % (timestamp.encode(), nonce.encode(), body)


def strict_json(text: bytes, what: str) -> dict[str, Any]:
    """One JSON object in UTF-8 with unique names and finite numbers; anything else is Malformed (proven)."""
    try:
        value = _DECODER.decode(text.decode())
        if text.count(b"{") + text.count(b"[") > MAX_DEPTH:  # else it cannot be deeper
            _check_depth(value)
    except (ValueError, RecursionError) as error:  # RecursionError is no ValueError
        raise Malformed(f"{what} is not strict JSON", proven=True) from error
    if not isinstance(value, dict):
        raise Malformed(f"{what} is no JSON object", proven=True)
    return value


def _read_headers(headers: Mapping[str, str]) -> tuple[str, str, str, str, str | None]:
    """The values of _HEADERS, in that order."""
    found = [headers.get(name) for name in _HEADERS]
    if None in found:  # request.headers does not mind the case, a plain dict may have any
        lowered = {name.lower(): value for name, value in headers.items()}
        found = [lowered.get(name.lower()) for name in _HEADERS]
    timestamp, nonce, signature, serial = needed = [value or "" for value in found[:4]]
    if not all(map(str.strip, needed)):
        missing = [name for name, value in zip(_HEADERS, needed, strict=False) if not value.strip()]
        raise Unsigned(f"missing: {', '.join(missing)}")
    together = "".join(needed)
    if not (together.isascii() and together.isprintable()):
        raise SignatureInvalid("a signature header has characters that WeChat never sends")
    return timestamp, nonce, signature, serial, found[4]


def _check_freshness(timestamp: str, now: float, tolerance: int) -> None:
    # Digits only: float("nan") would pass every comparison, int("１２") reads full-width digits.
    if not (timestamp.isascii() and timestamp.isdigit()) or len(timestamp) > 12:
        raise Stale(f"Wechatpay-Timestamp is {timestamp[:32]!r}, not Unix seconds")
    skew = int(timestamp) - now
    if abs(skew) > tolerance:
        direction = "in the future" if skew > 0 else "old"
        raise Stale(f"the timestamp is {abs(skew):.0f} s {direction}; allowed are {tolerance} s")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate name")
    return found


def _check_depth(value: object) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner = (node.values() if isinstance(node, dict) else node for node in level if isinstance(node, dict | list))
        level = [child for children in inner for child in children]
        if not level:
            return
    raise ValueError("nested too deep")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):  # 1e999
        raise ValueError("too large a number")
    return number


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
"""Made once: json.loads() with hooks makes one for each call, which costs as much as reading a small body."""


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _moment(value: object) -> datetime | None:
    return rfc3339(value) if isinstance(value, str) else None
