"""Checks of the merchants listed in MERCHANTS: their numbers and their keys.

Never prints a key, lengths only; what a provider (a callable) supplies is not looked at.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from wechatpay_notify.conf import DEFAULTS, MERCHANT_SETTINGS, KeyDirectory, MerchantConfig, conf, parse_merchant
from wechatpay_notify.protocol.keys import DEVELOPMENT_SERIAL, SERIAL_DIGITS
from wechatpay_notify.protocol.types import PlatformKey

from .findings import Findings, in_production, unknown_names

MAX_ALIAS = 64
"""Length of NotificationLog.merchant."""
MAX_MCHID = 32
DAY = 86400
EXPIRY_WARNINGS = ((1, "W013"), (7, "W012"), (30, "W011"))
FAULT_CODES = {"API_V3_KEY": "E010", "API_V2_KEY": "E011", "V2_SIGN_TYPE": "E012", "PLATFORM_KEYS": "E013"}
"""The check of each setting that conf.py finds fault with; a single one of the PLATFORM_KEYS is E014."""
DOCUMENTED_KEYS = {"192006250b4c09247ec02edce69f6a2d", "8934e7d15453e97507ef794cf7b0519d"}
"""Keys printed in WeChat's own documentation: anybody can sign with them."""


def check() -> Findings:
    for alias, raw in conf.MERCHANTS.items() if isinstance(conf.MERCHANTS, Mapping) else ():
        where = f'WECHATPAY_NOTIFY["MERCHANTS"]["{str(alias)[:MAX_ALIAS]}"]'
        yield from _alias(where, alias)
        if not isinstance(raw, Mapping):
            yield "E005", f"{where} is a {type(raw).__name__}, not a dict.", "Give a dict with MCHID and the keys."
            continue
        yield from unknown_names("E006", where, raw, MERCHANT_SETTINGS)
        config = parse_merchant(alias, raw, tolerance=DEFAULTS["TIMESTAMP_TOLERANCE"])
        for find in _CHECKS:
            yield from ((code, f"{where}: {text}", hint) for code, text, hint in find(config, raw))


def _alias(where: str, alias: object) -> Findings:
    if not isinstance(alias, str) or not 0 < len(alias) <= MAX_ALIAS or "/" in alias:
        yield (
            "E007",
            f"{where}: the alias must be text of 1 to {MAX_ALIAS} characters without a slash.",
            "It is one segment of the callback URL: use letters, digits and hyphens.",
        )


def _mchid(config: MerchantConfig, raw: Mapping[str, Any]) -> Findings:
    number = config.merchant.mchid
    if not (number.isascii() and number.isdigit() and len(number) <= MAX_MCHID):
        yield (
            "E008",
            "MCHID is missing or is no merchant number.",
            "Give the digits that the merchant platform shows as 商户号, as text; a service provider its own.",
        )


def _identities(config: MerchantConfig, raw: Mapping[str, Any]) -> Findings:
    for name in ("APPIDS", "SUB_MCHIDS"):
        given = raw.get(name)
        ids = [given] if isinstance(given, str | int) else given
        listed = isinstance(ids, list | tuple | set | frozenset)
        if given is not None and not (listed and ids and all(str(one).strip() for one in ids)):
            yield (
                "E009",
                f"{name} is no list of ids, or is empty or holds an empty one; payments would be refused.",
                "List the ids that may stand in a notification, or leave the setting out: then it is not compared.",
            )


def _faults(config: MerchantConfig, raw: Mapping[str, Any]) -> Findings:
    for fault in config.faults:
        yield FAULT_CODES.get(fault.setting, "E014"), f"{fault.setting} {fault.message}", fault.hint


def _files(config: MerchantConfig, raw: Mapping[str, Any]) -> Findings:
    given = config.merchant.platform_keys
    for name, problem in given.unusable().items() if isinstance(given, KeyDirectory) else ():
        yield (
            "W018",
            f"PLATFORM_KEYS: the file {ascii(name)[:100]} cannot be used: {problem}.",
            "Mend it or move it out: here belong WeChat Pay public keys (PUB_KEY_ID_….pem) and platform certificates.",
        )


def _certificates(config: MerchantConfig, raw: Mapping[str, Any]) -> Findings:
    # A short serial stands in the table twice, with and without its leading zeros.
    keys = {serial.lstrip("0"): key for serial, key in config.merchant.platform_keys.items()}
    for serial, key in keys.items():
        name = f'PLATFORM_KEYS["{serial}"]'
        if key.owner and (key.owner.isdigit() or key.owner == config.merchant.mchid):
            yield (
                "E015",
                f"{name} is a merchant's own certificate (apiclient_cert.pem?): WeChat does not sign with it.",
                "Use the WeChat Pay public key (pub_key.pem) or a platform certificate.",
            )
        if key.certificate_serial and key.certificate_serial != serial.zfill(SERIAL_DIGITS):
            yield (
                "W010",
                f"{name} is the certificate {key.certificate_serial}: it is not found when WeChat names that serial.",
                "Configure each certificate under its own serial.",
            )
        yield from _validity(name, key, replaced=any(_lasts(other) for other in keys.values()))


def _lasts(key: PlatformKey) -> bool:
    return key.not_after is None or key.not_after > time.time()


def _validity(name: str, key: PlatformKey, *, replaced: bool) -> Findings:
    if key.not_before is None or key.not_after is None:
        return
    now = time.time()
    left = (key.not_after - now) / DAY
    near = next((code for days, code in EXPIRY_WARNINGS if left <= days), "")
    if now < key.not_before:
        yield (
            "W014",
            f"{name} is a certificate that is not valid yet; what it signs is refused until then.",
            "Keep the old one beside it, and check this server's clock.",
        )
    if left < 0:
        yield (
            "W017" if replaced else "E016",
            f"{name} is an expired certificate: what it signs is refused.",
            "Remove it: another key takes its place."
            if replaced
            else "Put the WeChat Pay public key or the renewed platform certificate in its place.",
        )
    elif near:
        yield (
            near,
            f"{name} is a certificate that expires in {left:.1f} days.",
            "Add the WeChat Pay public key or the renewed platform certificate beside it now.",
        )


def _known_to_others(config: MerchantConfig, raw: Mapping[str, Any]) -> Findings:
    v3_keys = {key.decode() for key in config.merchant.api_v3_keys}
    for name, keys in (("API_V3_KEY", v3_keys), ("API_V2_KEY", set(config.merchant.api_v2_keys))):
        if keys & DOCUMENTED_KEYS:
            yield (
                "E017",
                f"{name} is a key out of WeChat's documentation, which everybody knows.",
                "Set a random key on the merchant platform (account centre → API security) and configure that one.",
            )
    if DEVELOPMENT_SERIAL in config.merchant.platform_keys and in_production():
        yield (
            "E018",
            "PLATFORM_KEYS trusts the development key of wechatpay_notify.testing although DEBUG is False.",
            "Configure the merchant's real keys; development_merchant() belongs in development settings alone.",
        )


def _versions(config: MerchantConfig, raw: Mapping[str, Any]) -> Findings:
    if not config.takes("v2") and not config.takes("v3"):
        yield (
            "W015",
            "neither API_V3_KEY nor API_V2_KEY is set: every callback is answered 404.",
            "Set API_V3_KEY and PLATFORM_KEYS (v3), or API_V2_KEY (v2), or all of them.",
        )
    if raw.get("PLATFORM_KEYS") and raw.get("API_V3_KEY") is None:
        yield (
            "W016",
            "PLATFORM_KEYS is set without API_V3_KEY: v3 callbacks are not taken.",
            "Set API_V3_KEY (is its environment variable missing?), or remove PLATFORM_KEYS.",
        )


_CHECKS: tuple[Callable[[MerchantConfig, Mapping[str, Any]], Findings], ...] = (
    _mchid,
    _identities,
    _faults,
    _files,
    _certificates,
    _known_to_others,
    _versions,
)
