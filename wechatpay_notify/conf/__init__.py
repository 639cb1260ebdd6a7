"""The WECHATPAY_NOTIFY setting: read lazily, parsed once, forgotten when Django says it changed.

Never raises at import, never prints a key; what is wrong with a merchant is a list of faults that the system checks
show and a request refuses (`misconfigured`).
"""

import sys
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

from django.conf import settings as django_settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from wechatpay_notify.protocol.errors import Misconfigured
from wechatpay_notify.protocol.types import ExpectedOrder, Merchant, Notification, Result

from .keydirectory import KeyDirectory
from .merchants import MERCHANT_SETTINGS, SIGN_TYPES, Fault, MerchantConfig, parse_merchant, provided_faults
from .networks import Networks, parse_networks

__all__ = [
    "DEFAULTS",
    "DEFAULT_ALIAS",
    "DELIVERIES",
    "MERCHANT_SETTINGS",
    "MIN_TOKEN",
    "SIGN_TYPES",
    "Fault",
    "KeyDirectory",
    "MerchantConfig",
    "build_merchant",
    "conf",
    "parse_merchant",
]

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
    "HEALTH_TOKEN": None,
}
DELIVERIES = ("inline", "deferred")
"""DELIVERY is one of these, or what wakes a worker."""
DEFAULT_ALIAS = "default"
MIN_TOKEN = 16
"""Characters of HEALTH_TOKEN; a shorter one could be guessed."""

Resolver = Callable[[Result], ExpectedOrder | None]


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

    @property
    def is_inline(self) -> bool:
        """Whether receivers run before WeChat is answered; else a worker runs them. With junk they run."""
        return not (callable(self.DELIVERY) or (isinstance(self.DELIVERY, str) and self.DELIVERY != "inline"))

    @cached_property
    def wake(self) -> Callable[[], object] | None:
        """What DELIVERY names to wake a worker, None if one comes by itself. What importing it raises comes through."""
        wake: Callable[[], object] | None = None if self.DELIVERY in DELIVERIES else _callable(self.DELIVERY)
        return wake

    @cached_property
    def answers(self) -> dict[str, Callable[[Notification], Any] | None]:
        """Event type of a question → what answers it. Whatever the host's module raises comes through."""
        given = self.ANSWERS
        return {name: _callable(value) for name, value in given.items()} if isinstance(given, Mapping) else {}

    @cached_property
    def source_networks(self) -> Networks:
        """SOURCE_NETWORKS, when it is a list. Raises Misconfigured."""
        networks = parse_networks("SOURCE_NETWORKS", self.SOURCE_NETWORKS)
        if not networks:
            raise Misconfigured("SOURCE_NETWORKS is empty")
        return networks

    @cached_property
    def trusted_proxies(self) -> Networks:
        """The peers whose X-Forwarded-For counts. Raises Misconfigured."""
        networks = parse_networks("TRUSTED_PROXIES", self.TRUSTED_PROXIES)
        if any(network.prefixlen == 0 for network in networks):
            raise Misconfigured("TRUSTED_PROXIES trusts everybody, who may then choose an address")
        return networks

    @property
    def health_token(self) -> str:
        """HEALTH_TOKEN, or "" where there is none or one that must not be used; nobody bears that."""
        token = self.HEALTH_TOKEN
        return token if isinstance(token, str) and _is_token(token) else ""

    def merchant(self, alias: str) -> MerchantConfig | None:
        """The merchant behind a URL alias, or None. Whatever the host's callable raises comes through."""
        if self.merchant_for is None:
            return self.merchants.get(alias)
        merchant = self.merchant_for(alias)
        return None if merchant is None else MerchantConfig(merchant, tuple(provided_faults(merchant)))

    def merchant_by_number(self, mchid: str) -> Merchant | None:
        """The listed merchant with this MCHID, for results that came without a URL (a query's answer)."""
        return next((config.merchant for config in self.merchants.values() if config.merchant.mchid == mchid), None)

    def reset(self) -> None:
        self.__dict__.clear()  # holds what the cached properties found, and nothing else


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


def _is_token(token: str) -> bool:
    """Whether it can stand in a header and is not easily guessed."""
    return len(token) >= MIN_TOKEN and token.isascii() and token.isprintable() and " " not in token


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and 0 <= value <= sys.maxsize  # type: ignore[operator]


def _callable(value: Any) -> Any:
    return import_string(value) if isinstance(value, str) else value if callable(value) else None


conf = Conf()


def _reset(*, setting: str, **_: Any) -> None:
    if setting == "WECHATPAY_NOTIFY":
        conf.reset()


setting_changed.connect(_reset, dispatch_uid="wechatpay_notify.conf")
