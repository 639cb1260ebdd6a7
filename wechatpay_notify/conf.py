"""The WECHATPAY_NOTIFY setting: read lazily, parsed once, forgotten when Django says it changed.

Never raises at import, never prints a key; what is wrong with a merchant is a list of faults that the system checks
show and a request refuses (`misconfigured`).
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from .protocol import keys
from .protocol.errors import Misconfigured
from .protocol.types import ExpectedOrder, Merchant, Notification, PlatformKey, Result, SignType, Version

DEFAULTS: dict[str, Any] = {
    "MERCHANTS": {},
    "ORDER_RESOLVER": None,
    "ANSWERS": {},
    "DELIVERY": "inline",
    "INLINE_SECONDS": 3,
    "BASE_URL": None,
    "SOURCE_NETWORKS": None,
    "SOURCE_POLICY": "log",
    "TRUSTED_PROXIES": [],
    "TIMESTAMP_TOLERANCE": 300,
    "MAX_BODY_BYTES": 2 * 1024 * 1024,
    "REJECTED_LOG_PER_MINUTE": 60,
    "REJECTED_LOG_KEEP": 10_000,
}
ONLY_DEFAULT = ("DELIVERY", "SOURCE_NETWORKS", "SOURCE_POLICY", "TRUSTED_PROXIES")
"""Settings that have one value in this version; the checks refuse another."""
MERCHANT_SETTINGS = ("MCHID", "APPIDS", "SUB_MCHIDS", "API_V3_KEY", "PLATFORM_KEYS", "API_V2_KEY", "V2_SIGN_TYPE")
SIGN_TYPES: tuple[SignType, ...] = ("MD5", "HMAC-SHA256")
KEY_LENGTH = 32
"""Bytes of an APIv3 key and characters of an API v2 key; AES-GCM would take 16 and 24 silently."""
DEFAULT_ALIAS = "default"

Resolver = Callable[[Result], ExpectedOrder | None]


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong with one merchant's settings: which API version it stops, where it is, how to mend it."""

    version: Version
    setting: str
    message: str
    hint: str

    def error(self) -> Misconfigured:
        return Misconfigured(f"{self.setting}: {self.message} {self.hint}")


@dataclass(frozen=True, slots=True)
class MerchantConfig:
    """A parsed merchant and what is wrong with it."""

    merchant: Merchant
    faults: tuple[Fault, ...] = ()

    def takes(self, version: Version) -> bool:
        """Whether this merchant has (or was meant to have) keys of this API version."""
        keys_there = self.merchant.api_v3_keys if version == "v3" else self.merchant.api_v2_keys
        return bool(keys_there) or any(fault.version == version for fault in self.faults)

    def usable(self, version: Version) -> Merchant:
        """The merchant, if nothing is wrong with its keys of this version; else raises Misconfigured."""
        for fault in self.faults:
            if fault.version == version:
                raise fault.error()
        return self.merchant


class Conf:
    """`conf.NAME` is the setting or its default; the parsed forms are the lower-case properties."""

    def __getattr__(self, name: str) -> Any:
        if name not in DEFAULTS:
            raise AttributeError(name)
        given, default = self.configured(name), DEFAULTS[name]
        # A number of the wrong type is the checks' to report; gunicorn runs none, and a callback must not break on it.
        return given if type(default) is not int or _is_number(given) else default

    def configured(self, name: str) -> Any:
        """The setting as it was given, or its default; for the checks, which say what is wrong with it."""
        return self.given.get(name, DEFAULTS[name])

    @property
    def given(self) -> Mapping[str, Any]:
        given = getattr(django_settings, "WECHATPAY_NOTIFY", {})
        return given if isinstance(given, Mapping) else {}

    @property
    def tolerance(self) -> int:
        """Seconds; 0 would refuse everything."""
        return int(self.TIMESTAMP_TOLERANCE) or int(DEFAULTS["TIMESTAMP_TOLERANCE"])

    @cached_property
    def merchants(self) -> dict[str, MerchantConfig]:
        """The merchants listed in the setting; empty when a callable supplies them one by one."""
        listed = self.MERCHANTS
        if not isinstance(listed, Mapping):
            return {}
        return {alias: parse_merchant(alias, raw, tolerance=self.tolerance) for alias, raw in listed.items()}

    @cached_property
    def merchant_for(self) -> Callable[[str], Merchant | None] | None:
        """The host's own provider, when MERCHANTS is a callable or its dotted path."""
        provider: Callable[[str], Merchant | None] | None = _callable(self.MERCHANTS)
        return provider

    @cached_property
    def order_resolver(self) -> Resolver | None:
        resolver: Resolver | None = _callable(self.ORDER_RESOLVER)
        return resolver

    @cached_property
    def answers(self) -> dict[str, Callable[[Notification], Any] | None]:
        """Event type of a question → what answers it. Whatever the host's module raises comes through."""
        given = self.ANSWERS
        return {name: _callable(value) for name, value in given.items()} if isinstance(given, Mapping) else {}

    def merchant(self, alias: str) -> MerchantConfig | None:
        """The merchant behind a URL alias, or None. Whatever the host's callable raises comes through."""
        if self.merchant_for is None:
            return self.merchants.get(alias)
        merchant = self.merchant_for(alias)
        return None if merchant is None else MerchantConfig(merchant, tuple(_provided_faults(merchant)))

    def merchant_by_number(self, mchid: str) -> Merchant | None:
        """The listed merchant with this MCHID, for results that came without a URL (a query's answer)."""
        return next((config.merchant for config in self.merchants.values() if config.merchant.mchid == mchid), None)

    def reset(self) -> None:
        for name in ("merchants", "merchant_for", "order_resolver", "answers"):
            self.__dict__.pop(name, None)


def build_merchant(alias: str, **given: Any) -> Merchant:
    """A Merchant from the settings of section MERCHANTS (`MCHID=…, API_V3_KEY=…`), for a host's own provider.

    Parsing keys costs more than a verification: build once and keep it. Raises Misconfigured.
    """
    unknown = sorted(given.keys() - set(MERCHANT_SETTINGS))
    if unknown:
        raise Misconfigured(f"unknown settings: {', '.join(unknown)}; known are {', '.join(MERCHANT_SETTINGS)}")
    config = parse_merchant(alias, given, tolerance=conf.tolerance)
    for fault in config.faults:
        raise fault.error()
    return config.merchant


def parse_merchant(alias: str, raw: Any, *, tolerance: int) -> MerchantConfig:
    """Parse one entry of MERCHANTS; what cannot be used becomes a fault, never an exception."""
    raw = raw if isinstance(raw, Mapping) else {}
    faults: list[Fault] = []
    v3_keys = _keys(raw, "API_V3_KEY", "v3", "the APIv3 key (APIv3密钥)", faults)
    v2_keys = _keys(raw, "API_V2_KEY", "v2", "the API v2 key (API密钥)", faults)
    platform_keys = _platform_keys(raw, faults)
    stopped = any(fault.version == "v3" for fault in faults)
    if raw.get("API_V3_KEY") is not None and not platform_keys and not stopped:
        faults.append(
            Fault(
                "v3",
                "PLATFORM_KEYS",
                "is missing beside API_V3_KEY.",
                "Decrypting proves nothing: add the WeChat Pay public key (PUB_KEY_ID_…) or platform certificate.",
            )
        )
    sign_type = raw.get("V2_SIGN_TYPE", "MD5")
    if sign_type not in SIGN_TYPES:
        faults.append(
            Fault(
                "v2",
                "V2_SIGN_TYPE",
                "is not one of the two algorithms.",
                "Use 'MD5' or 'HMAC-SHA256': the weakest accepted.",
            )
        )
    merchant = Merchant(
        alias=alias,
        mchid=str(raw.get("MCHID") or ""),
        appids=_names(raw.get("APPIDS")),
        sub_mchids=_names(raw.get("SUB_MCHIDS")),
        api_v3_keys=tuple(key.encode() for key in v3_keys),
        platform_keys=platform_keys,
        api_v2_keys=tuple(v2_keys),
        v2_sign_type=sign_type if sign_type in SIGN_TYPES else "HMAC-SHA256",
        timestamp_tolerance=tolerance,
    )
    return MerchantConfig(merchant, tuple(faults))


def _provided_faults(merchant: Merchant) -> Iterator[Fault]:
    """What is wrong with the keys of a Merchant that a host made itself."""
    mend = "Make the Merchant with build_merchant()."
    if any(len(key) != KEY_LENGTH for key in merchant.api_v3_keys):
        yield Fault("v3", "api_v3_keys", f"must be {KEY_LENGTH} bytes each.", mend)
    if merchant.api_v3_keys and not merchant.platform_keys:
        yield Fault("v3", "platform_keys", "is empty.", mend)
    if any(len(key) != KEY_LENGTH for key in merchant.api_v2_keys):
        yield Fault("v2", "api_v2_keys", f"must be {KEY_LENGTH} characters each.", mend)


def _keys(raw: Mapping[str, Any], setting: str, version: Version, what: str, faults: list[Fault]) -> list[str]:
    value = raw.get(setting)
    if value is None:
        return []
    given = list(value) if isinstance(value, list | tuple) else [value]
    good = [key for key in given if isinstance(key, str) and key.isascii() and len(key) == KEY_LENGTH]
    if not good or len(good) != len(given):
        found = ", ".join(map(_shape, given)) or "none"
        faults.append(
            Fault(
                version,
                setting,
                f"must be {KEY_LENGTH} ASCII characters (found: {found}).",
                f"Copy {what} from the merchant platform, account centre → API security; a list while it is changed.",
            )
        )
    return good


def _shape(key: object) -> str:
    """What may be said of a key that cannot be used: its length, never a character of it."""
    if not isinstance(key, str):
        return type(key).__name__
    if not key.isascii():
        return f"{len(key)}, not all ASCII"
    return f"{len(key)} with the white space around it" if key != key.strip() else str(len(key))


def _platform_keys(raw: Mapping[str, Any], faults: list[Fault]) -> dict[str, PlatformKey]:
    value = raw.get("PLATFORM_KEYS") or {}
    if not isinstance(value, Mapping):
        faults.append(
            Fault("v3", "PLATFORM_KEYS", f"is a {type(value).__name__}.", "Give a dict: serial → PEM text or path.")
        )
        return {}
    found: dict[str, PlatformKey] = {}
    for serial, pem in value.items():
        try:
            found.update(keys.verification_keys({str(serial): _read_pem(pem)}))
        except Misconfigured as error:
            faults.append(
                Fault(
                    "v3",
                    f"PLATFORM_KEYS[{str(serial)[:64]!r}]",
                    f"cannot be used: {error.detail}.",
                    "Here belongs the WeChat Pay public key (pub_key.pem) or a platform certificate (RSA, not SM2), as "
                    "PEM text or as the path of a file that this process can read, under its id (PUB_KEY_ID_…) or "
                    "serial.",
                )
            )
    return found


def _read_pem(value: object) -> bytes:
    if isinstance(value, str) and "-----BEGIN" in value:
        return value.encode()
    if isinstance(value, bytes) and b"-----BEGIN" in value:
        return value
    if isinstance(value, str | Path) and str(value):
        # A key put here by mistake is text without a dot: only what can be nothing but a path is shown.
        name = f" {str(value)[:200]}" if isinstance(value, Path) or "." in value or value.startswith("/") else ""
        try:
            return Path(value).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no file name"
            raise Misconfigured(f"the file{name} cannot be read ({reason})") from error
    raise Misconfigured("it is neither PEM text nor a path")


def _names(value: object) -> frozenset[str] | None:
    if value is None:
        return None
    if isinstance(value, list | tuple | set | frozenset):
        return frozenset(map(str, value))
    # Anything else is one name; junk then matches nothing, and never "not checked".
    return frozenset({str(value)})


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= sys.maxsize  # type: ignore[operator]


def _callable(value: Any) -> Any:
    return import_string(value) if isinstance(value, str) else value if callable(value) else None


conf = Conf()


def _reset(*, setting: str, **_: Any) -> None:
    if setting == "WECHATPAY_NOTIFY":
        conf.reset()


setting_changed.connect(_reset, dispatch_uid="wechatpay_notify.conf")
