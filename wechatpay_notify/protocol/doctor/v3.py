"""The doctor for v3: which key made the signature, over which bytes, and what else stood in the way.

Never proves anything: what it finds is text for a person.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from cryptography.exceptions import InvalidSignature

from wechatpay_notify.protocol import sealed, v3
from wechatpay_notify.protocol.errors import AlgorithmRefused, NotificationError, Undecryptable
from wechatpay_notify.protocol.keys import DEVELOPMENT_SERIAL, PUBLIC_KEY_PREFIX, SERIAL_DIGITS
from wechatpay_notify.protocol.types import Merchant, PlatformKey

from .mutations import unquoted, variants
from .symptoms import MAX_KEYS, Case, Symptom, several, symptom

MILLISECONDS = 13
"""Digits of Unix time in milliseconds."""
API_V3_KEY_BYTES = 32
_NEEDED = ("Wechatpay-Timestamp", "Wechatpay-Nonce", "Wechatpay-Signature", "Wechatpay-Serial")


@dataclass(frozen=True, slots=True)
class _Signer:
    """A configured key that made this signature, over whatever bytes."""

    alias: str
    serial: str
    key: PlatformKey
    signature: bytes
    repaired: bool


def examine(case: Case) -> Iterator[Symptom]:
    """The explanations that fit, the best first."""
    values = [case.headers.get(name.lower(), "") for name in _NEEDED]
    obstacle = _headers(case, values)
    if obstacle:
        yield obstacle
        return
    timestamp, nonce, encoded, serial = values
    signatures = list(_signatures(encoded))
    signers = _signers(signatures, _keys(case, serial))
    held = _over(signers, timestamp, nonce, case.body)
    once = [value.partition(",")[0].strip() for value in values]
    if once != values and _over(_signers(_signatures(once[2]), _keys(case, once[3])), once[0], once[1], case.body):
        yield symptom("headers_doubled")
    elif held:
        yield from _holding(held, case)
    elif signers:
        yield from _altered(signers, timestamp, nonce, case)
    elif not signatures:
        yield symptom("not_base64", length=len(encoded))
    else:
        yield from _unsigned(serial, case.merchant)


def _headers(case: Case, values: list[str]) -> Symptom | None:
    """Why the headers tell that the signature need not be looked at."""
    missing = [name for name, value in zip(_NEEDED, values, strict=True) if not value.strip()]
    together = "".join(values)
    signature_type = case.headers.get("wechatpay-signature-type", v3.SIGNATURE_TYPE)
    if len(missing) == len(_NEEDED):
        return symptom("headers_all_missing")
    if missing:
        return several("headers_missing", "names", missing)
    if values[2].startswith(v3.PROBE_PREFIX):
        return symptom("probe")
    if signature_type.partition(",")[0].strip() != v3.SIGNATURE_TYPE:
        return symptom("signature_type", type=signature_type)
    if any(len(value) >= v3.MAX_KEPT_HEADER for value in values):
        return symptom("headers_cut", limit=v3.MAX_KEPT_HEADER)
    return None if together.isascii() and together.isprintable() else symptom("headers_odd")


def _keys(case: Case, serial: str) -> list[tuple[str, str, PlatformKey]]:
    """All configured keys: the one that is named, the merchant's others, the other merchants'."""
    found = [
        (name, configured, key)
        for name, merchant in case.own_first()
        for configured in list(merchant.platform_keys)
        if (key := merchant.platform_keys.get(configured)) is not None  # a directory's may be gone by now
    ]
    return sorted(found, key=lambda one: (one[0] != case.alias, one[1] != serial))[:MAX_KEYS]


def _signatures(encoded: str) -> Iterator[tuple[bytes, bool]]:
    """The signature as it stands, and as it may have stood before something rewrote the header."""
    percent = unquoted(encoded.encode(errors="replace")).decode(errors="replace")
    spaces = percent.strip(" \"'").replace(" ", "+")
    padded = "".join(spaces.split()).rstrip("=").replace("-", "+").replace("_", "/")
    for text in dict.fromkeys((encoded, percent, spaces, f"{padded}{'=' * (-len(padded) % 4)}")):
        try:
            yield base64.b64decode(text, validate=True), text != encoded
        except ValueError:
            continue


def _signers(
    signatures: Iterable[tuple[bytes, bool]], keys: Iterable[tuple[str, str, PlatformKey]]
) -> dict[bytes, _Signer]:
    """SHA-256 that was signed → who signed it: RSA gives it back, so that each further text costs one hash."""
    found: dict[bytes, _Signer] = {}
    for signature, repaired in signatures:
        for alias, serial, key in keys:
            try:
                digest = key.public_key.recover_data_from_signature(signature, v3.PADDING, v3.SHA256_HASH)
            except (InvalidSignature, ValueError):
                continue
            found.setdefault(digest, _Signer(alias, serial, key, signature, repaired))
    return found


def _over(signers: Mapping[bytes, _Signer], timestamp: str, nonce: str, body: bytes) -> _Signer | None:
    """Who signed exactly these, checked as a notification is."""
    text = v3.signed_text(timestamp, nonce, body)
    signer = signers.get(hashlib.sha256(text).digest())
    if signer is None:
        return None
    try:
        signer.key.public_key.verify(signer.signature, text, v3.PADDING, v3.SHA256_HASH)
    except InvalidSignature:
        return None
    return signer


def _holding(signer: _Signer, case: Case) -> Iterator[Symptom]:
    """The signature is right over these bytes: what else was wrong?"""
    serial, timestamp = case.headers["wechatpay-serial"], case.headers["wechatpay-timestamp"]
    if signer.repaired:
        yield symptom("signature_header", serial=signer.serial)
    if signer.alias != case.alias:
        yield symptom("other_merchant_key", alias=signer.alias, used=case.alias, serial=signer.serial)
        return
    if signer.serial != serial:
        yield _misnamed(serial, signer)
        return
    clock = _clock(timestamp, case.received_at, case.merchant.timestamp_tolerance)
    if clock:
        yield clock
        return
    not_before, not_after = signer.key.not_before, signer.key.not_after
    if not_after is not None and case.received_at > not_after:
        yield symptom("certificate_expired", serial=serial)
    elif not_before is not None and case.received_at < not_before:
        yield symptom("certificate_early", serial=serial)
    elif not signer.repaired:
        yield _content(case)


def _misnamed(serial: str, signer: _Signer) -> Symptom:
    """It was signed with a key of this merchant that is configured under another serial than the header names."""
    named = {_normal(serial), _normal_decimal(serial)} - {""}
    if _normal(signer.serial) in named:
        return symptom("serial_spelling", serial=serial, configured=signer.serial)
    if signer.key.certificate_serial in named:
        return symptom("serial_misfiled", serial=signer.key.certificate_serial, configured=signer.serial)
    return symptom("other_key", serial=serial, configured=signer.serial)


def _normal(serial: str) -> str:
    text = serial.strip().upper().replace(":", "").removeprefix("0X")
    return text if text.startswith(PUBLIC_KEY_PREFIX) else text.zfill(SERIAL_DIGITS)


def _normal_decimal(serial: str) -> str:
    text = serial.strip()
    return f"{int(text):0{SERIAL_DIGITS}X}" if text.isascii() and text.isdigit() else ""


def _clock(timestamp: str, received_at: float, tolerance: int) -> Symptom | None:
    if not (timestamp.isascii() and timestamp.isdigit()):
        return symptom("timestamp_unreadable", timestamp=timestamp[:32])
    if len(timestamp) == MILLISECONDS:
        return symptom("milliseconds", timestamp=timestamp)
    if len(timestamp) > MILLISECONDS:
        return symptom("timestamp_unreadable", timestamp=timestamp[:32])
    skew = int(timestamp) - received_at
    if abs(skew) <= tolerance:
        return None
    return symptom("clock_behind" if skew > 0 else "clock_ahead", seconds=f"{abs(skew):.0f}", allowed=tolerance)


def _altered(signers: Mapping[bytes, _Signer], timestamp: str, nonce: str, case: Case) -> Iterator[Symptom]:
    """A configured key made the signature, over other bytes: over which?"""
    signer = next(iter(signers.values()))
    facts = {"serial": signer.serial, "alias": signer.alias}
    for code, candidate in variants(case.body):
        if _over(signers, timestamp, nonce, candidate):
            yield symptom(code, **facts)
            break
    else:
        if len(timestamp) == MILLISECONDS and _over(signers, timestamp[:-3], nonce, case.body):
            yield symptom("milliseconds", timestamp=timestamp)
        elif not case.body:
            yield symptom("body_empty", **facts)
        else:
            yield symptom("altered_otherwise", **facts)
    if signer.alias != case.alias:
        yield symptom("other_merchant_key", alias=signer.alias, used=case.alias, serial=signer.serial)


def _unsigned(serial: str, merchant: Merchant) -> Iterator[Symptom]:
    """No configured key made the signature."""
    keys = merchant.platform_keys
    owners = {name: key.owner for name in list(keys) if (key := keys.get(name)) is not None}
    own = [name for name, owner in owners.items() if owner and (owner.isdigit() or owner == merchant.mchid)]
    if own:
        yield several("own_certificate", "serials", own)
    if serial in owners:
        yield symptom("unexplained_v3", serial=serial)
        return
    is_public_key = serial.startswith(PUBLIC_KEY_PREFIX)
    kinds = {name.startswith(PUBLIC_KEY_PREFIX) for name in owners}
    if not owners:
        code = "no_platform_keys"
    elif serial == DEVELOPMENT_SERIAL:
        code = "development_key"
    elif kinds == {not is_public_key}:
        code = "public_key_missing" if is_public_key else "certificate_missing"
    else:
        code = "serial_unknown"
    yield several(code, "configured", owners, serial=serial)


def _content(case: Case) -> Symptom:
    """Proven: does it open, and is it a notification?"""
    usable = tuple(key for key in case.merchant.api_v3_keys if len(key) == API_V3_KEY_BYTES)
    merchant = replace(case.merchant, api_v3_keys=usable)
    try:
        v3.parse_notification(case.headers, case.body, merchant, now=case.received_at)
    except Undecryptable:
        return unopened(v3.strict_json(case.body, "the body")["resource"], case)
    except AlgorithmRefused as error:  # unproven: the one of several signature types that came first is right
        return symptom("resource_algorithm" if error.proven else "headers_doubled")
    except NotificationError as error:
        return symptom("signed_but_odd", why=error.detail)
    return symptom("mended")


def unopened(resource: Mapping[str, object], case: Case) -> Symptom:
    """Whose APIv3 key opens what this merchant's does not."""
    for name, merchant in case.own_first():
        v2_keys = [key.encode() for key in merchant.api_v2_keys] if name == case.alias else []
        for code, keys in (("apiv3_key_is_v2", v2_keys), ("apiv3_key_elsewhere", list(merchant.api_v3_keys))):
            usable = [key for key in keys if len(key) == API_V3_KEY_BYTES]
            try:
                sealed.decrypt(resource, usable)
            except NotificationError:
                continue
            return symptom(code, alias=name, used=case.alias)
    return symptom("apiv3_key_wrong", used=case.alias)
