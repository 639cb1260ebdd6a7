"""The doctor for v2: whose key made the sign, over which fields, or whose opens the refund.

Never proves anything: what it finds is text for a person.
"""

import hmac
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice

from wechatpay_notify.protocol import v2
from wechatpay_notify.protocol.errors import AlgorithmRefused, NotificationError, Undecryptable
from wechatpay_notify.protocol.flatxml import parse_xml
from wechatpay_notify.protocol.types import SignType

from . import fields as elements
from . import mutations
from .symptoms import MAX_KEYS, Case, Symptom, symptom
from .v3 import API_V3_KEY_BYTES, unopened

MAX_WORK = 6_000_000
"""Bytes that are hashed in search of what the fields were: about 20 ms."""
COST_OF_FIELD = 60
"""Bytes that could be hashed while one field is put in its place."""
MAX_PARSED = 16
MAX_XML = 16 * 1024
"""XML that is read so many times over; a notice has 2 KB, and more of a refused one is not stored."""
_HEX = re.compile(r"[0-9A-Fa-f]+")

Keys = list[tuple[str, str]]
"""(alias, key)."""


def examine(case: Case) -> Iterator[Symptom]:
    """The explanations that fit, the best first."""
    try:
        fields = parse_xml(case.body, "xml")
    except NotificationError as error:
        yield altered(case) or symptom("not_xml", why=error.detail)
        return
    sign = fields.get("sign", "")
    algorithm = v2.SIGN_LENGTHS.get(len(sign)) if _HEX.fullmatch(sign) else None
    if "req_info" in fields and "sign" not in fields:
        yield _refund(fields["req_info"], case)
    elif not sign:
        yield symptom("sign_missing")
    elif algorithm is None:
        yield symptom("sign_odd", length=len(sign))
    else:
        yield _signed(fields, algorithm, case)


def _signed(fields: Mapping[str, str], algorithm: SignType, case: Case) -> Symptom:
    signer = _signer(fields, algorithm, _keys(case))
    if signer == case.alias:
        return _holding(fields, algorithm, case)
    if signer:
        return symptom("v2_other_merchant_key", alias=signer, used=case.alias)
    if _signer(fields, algorithm, _misplaced(case)):
        return symptom("v2_key_is_v3", used=case.alias)
    return _unsigned(fields, algorithm, case)


def altered(case: Case) -> Symptom | None:
    """What was done to a body that is no XML any more, if undoing it gives a notice that holds."""
    keys = _keys(case)
    likely = ((code, found) for code, found in mutations.variants(case.body) if found.lstrip()[:1] == b"<")
    for code, candidate in islice(likely, MAX_PARSED if len(case.body) <= MAX_XML else 0):
        try:
            fields = parse_xml(candidate, "xml")
        except NotificationError:
            continue
        algorithm = v2.SIGN_LENGTHS.get(len(fields.get("sign", "")))
        signer = _signer(fields, algorithm, keys) if algorithm else ""
        opener = "" if "sign" in fields else _opener(fields.get("req_info", ""), keys)
        if signer or opener:
            return symptom(code, serial="API_V2_KEY", alias=signer or opener)
    return None


def _keys(case: Case) -> Keys:
    """The v2 keys of all merchants, this one's first."""
    found = [(name, key) for name, merchant in case.own_first() for key in merchant.api_v2_keys if key]
    return found[:MAX_KEYS]


def _misplaced(case: Case) -> Keys:
    """The APIv3 keys, tried as API v2 keys: both have 32 characters."""
    return [(case.alias, key.decode()) for key in case.merchant.api_v3_keys if key and key.isascii()]


def _signer(fields: Mapping[str, str], algorithm: SignType, keys: Keys) -> str:
    """Whose key made this sign; "" if nobody's."""
    sign = fields["sign"].upper()
    if not sign.isascii():
        return ""
    for alias, key in keys:
        if hmac.compare_digest(sign, v2.signature(fields, key, algorithm)):
            return alias
    return ""


def _holding(fields: Mapping[str, str], algorithm: SignType, case: Case) -> Symptom:
    """The sign is right under this merchant's key: what else was wrong?"""
    merchant = case.merchant
    for name in ("sign_type", "algorithm"):
        if fields.get(name, algorithm) != algorithm:
            return symptom("sign_type_contradicts", name=name, said=fields[name][:32], algorithm=algorithm)
    if algorithm == "MD5" and merchant.v2_sign_type != "MD5":
        return symptom("md5_refused", used=case.alias)
    usable = tuple(key for key in merchant.api_v3_keys if len(key) == API_V3_KEY_BYTES)
    try:
        v2.parse_notification({}, case.body, replace(merchant, api_v3_keys=usable), now=0)
    except Undecryptable:
        names = ("algorithm", "nonce", "associated_data", "ciphertext")
        return unopened({name: fields.get(f"event_{name}") for name in names}, case)
    except AlgorithmRefused:
        return symptom("resource_algorithm")
    except NotificationError as error:
        return symptom("signed_but_odd", why=error.detail)
    return symptom("mended")


def _unsigned(fields: Mapping[str, str], algorithm: SignType, case: Case) -> Symptom:
    """No configured key made the sign over these fields: over which others?"""
    own = [(name, key) for name, key in _keys(case) if name == case.alias]
    size = sum(map(len, fields.values())) + COST_OF_FIELD * len(fields)
    tries = MAX_WORK // (size * max(len(own), 1))
    for code, name, candidate in islice(elements.variants(fields), tries):
        if _signer(candidate, algorithm, own):
            return symptom(code, name=name or "*")
    claimed = fields.get("mch_id", "")
    whose = [name for name, merchant in case.merchants.items() if merchant.mchid == claimed]
    if whose and case.alias not in whose:
        return symptom("claims_other_merchant", mchid=claimed, alias=whose[0], used=case.alias)
    if claimed and claimed != case.merchant.mchid:
        return symptom("claims_stranger", mchid=claimed, mine=case.merchant.mchid)
    return symptom("unexplained_v2", algorithm=algorithm, count=len(fields))


def _refund(sealed: str, case: Case) -> Symptom:
    """A refund notice, which is encrypted and not signed."""
    keys = _keys(case)
    opener = _opener(sealed, keys)
    if opener == case.alias:
        return symptom("mended")
    if opener:
        return symptom("v2_other_merchant_key", alias=opener, used=case.alias)
    if _opener(sealed, _misplaced(case)):
        return symptom("v2_key_is_v3", used=case.alias)
    percent = mutations.unquoted(sealed.encode()).decode(errors="replace")
    for candidate in (sealed.strip().replace(" ", "+"), percent):
        if candidate != sealed and _opener(candidate, keys):
            return symptom("plus_lost", serial="API_V2_KEY", alias=case.alias)
    return symptom("unexplained_req_info", used=case.alias)


def _opener(req_info: str, keys: Keys) -> str:
    """Whose key opens it; "" if nobody's."""
    for alias, key in keys:
        try:
            parse_xml(v2.open_req_info(req_info, key), "root")
        except NotificationError:
            continue
        return alias
    return ""
