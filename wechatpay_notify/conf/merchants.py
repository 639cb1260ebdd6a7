"""The merchants of the setting: raw entries in, Merchant values out, with what is wrong with each as faults.

Never raises for a fault (a request refuses it, the system checks show it), and never shows a key: its length at most.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wechatpay_notify.protocol import keys
from wechatpay_notify.protocol.errors import Misconfigured
from wechatpay_notify.protocol.types import Merchant, PlatformKey, SignType, Version

from .keydirectory import KeyDirectory

MERCHANT_SETTINGS = ("MCHID", "APPIDS", "SUB_MCHIDS", "API_V3_KEY", "PLATFORM_KEYS", "API_V2_KEY", "V2_SIGN_TYPE")
SIGN_TYPES: tuple[SignType, ...] = ("MD5", "HMAC-SHA256")
KEY_LENGTH = 32
"""Bytes of an APIv3 key and characters of an API v2 key; AES-GCM would take 16 and 24 silently."""


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
    settled: tuple[Fault, ...] = ()
    """What the settings get wrong, for as long as they are not changed."""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong now: a directory of keys is filled and emptied while the process runs."""
        return (*_directory_faults(self.merchant.platform_keys), *self.settled)

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


def parse_merchant(alias: str, raw: Any, *, tolerance: int) -> MerchantConfig:
    """Parse one entry of MERCHANTS; what cannot be used becomes a fault, never an exception."""
    raw = raw if isinstance(raw, Mapping) else {}
    faults: list[Fault] = []
    v3_keys = _keys(raw, "API_V3_KEY", "v3", "the APIv3 key (APIv3密钥)", faults)
    v2_keys = _keys(raw, "API_V2_KEY", "v2", "the API v2 key (API密钥)", faults)
    platform_keys = _platform_keys(raw, faults)
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


def _directory_faults(given: Mapping[str, PlatformKey]) -> Iterator[Fault]:
    if isinstance(given, KeyDirectory) and not given:
        yield Fault(
            "v3",
            "PLATFORM_KEYS",
            f"names a directory{_shown(given.path)} that {given.trouble}.",
            "Put the WeChat Pay public key there as PUB_KEY_ID_….pem, or a platform certificate as any other .pem, "
            "readable for this process; or give a dict: serial → PEM text or path.",
        )


def provided_faults(merchant: Merchant) -> Iterator[Fault]:
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


def _platform_keys(raw: Mapping[str, Any], faults: list[Fault]) -> Mapping[str, PlatformKey]:
    value = raw.get("PLATFORM_KEYS")
    if not value and raw.get("API_V3_KEY") is not None and not any(fault.version == "v3" for fault in faults):
        faults.append(
            Fault(
                "v3",
                "PLATFORM_KEYS",
                "is missing beside API_V3_KEY.",
                "Decrypting proves nothing: add the WeChat Pay public key (PUB_KEY_ID_…) or platform certificate.",
            )
        )
    if not value:
        return {}
    if isinstance(value, Path) or (isinstance(value, str) and "-----BEGIN" not in value):
        return KeyDirectory(value)
    if not isinstance(value, Mapping):
        faults.append(
            Fault(
                "v3",
                "PLATFORM_KEYS",
                f"is a {type(value).__name__} that names no directory.",
                "Give a dict: serial → PEM text or path; or a directory.",
            )
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
        try:
            return Path(value).read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no file name"
            raise Misconfigured(f"the file{_shown(value)} cannot be read ({reason})") from error
    raise Misconfigured("it is neither PEM text nor a path")


def _shown(path: str | Path) -> str:
    # A key put here by mistake is text without a dot: only what can be nothing but a path is shown.
    return f" {str(path)[:200]}" if isinstance(path, Path) or "." in path or path.startswith("/") else ""


def _names(value: object) -> frozenset[str] | None:
    if value is None:
        return None
    if isinstance(value, list | tuple | set | frozenset):
        return frozenset(map(str, value))
    # Anything else is one name; junk then matches nothing, and never "not checked".
    return frozenset({str(value)})
