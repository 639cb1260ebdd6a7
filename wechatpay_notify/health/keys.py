"""The keys in use: for each merchant which of its keys WeChat signs with, and how long they last.

Never holds a key or a part of one: serials, numbers and moments.
"""

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from wechatpay_notify.conf import MerchantConfig, conf
from wechatpay_notify.log import logger

from .genuine import Genuine

MOST_PROVIDED = 20
"""Merchants that a provider is asked for: each may cost it a query."""
SOON = 30
"""Days until a certificate expires from which on it is worth a glance."""
_DAY = 86400


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyUse:
    """One platform key."""

    serial: str
    used_at: datetime | None
    """When it last signed, None if none of the newest genuine notifications."""
    days_left: int | None
    """Whole days until its certificate expires, negative when it has; None for a public key, which does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantKeys:
    alias: str
    api_v3_keys: int = 0
    api_v2_keys: int = 0
    v2_used_at: datetime | None = None
    """When a v2 notification last fitted one of the API v2 keys."""
    platform_keys: tuple[KeyUse, ...] = ()
    faults: tuple[str, ...] = ()
    """Settings with which something is wrong; `manage.py check` says what."""
    provider_failed: bool = False
    """Whether the host's provider raised for it."""

    @property
    def expired(self) -> list[str]:
        """Serials of the expired keys, if no other one lasts."""
        gone = [key.serial for key in self.platform_keys if key.days_left is not None and key.days_left < 0]
        return gone if len(gone) == len(self.platform_keys) else []

    def expiring(self, days: int) -> list[str]:
        """Serials of the keys that expire within so many days."""
        return [key.serial for key in self.platform_keys if key.days_left is not None and 0 <= key.days_left <= days]


def in_use(rows: Sequence[Genuine]) -> tuple[MerchantKeys, ...]:
    """The listed merchants, or of a provider's those that these notifications are for; `rows` newest first."""
    seen = list(dict.fromkeys(row.merchant for row in rows))
    aliases: Iterable[str] = conf.merchants if isinstance(conf.MERCHANTS, Mapping) else seen[:MOST_PROVIDED]
    return tuple(found for alias in aliases if (found := _keys(alias, rows)) is not None)


def _keys(alias: str, rows: Sequence[Genuine]) -> MerchantKeys | None:
    try:
        config = conf.merchant(alias)
        return None if config is None else _described(alias, config, rows)
    except Exception:  # whatever the host's provider raises, or lies in what it made
        logger.warning("the merchant provider raised for %s", ascii(alias)[:64], exc_info=True)
        return MerchantKeys(alias=alias, provider_failed=True)


def _described(alias: str, config: MerchantConfig, rows: Sequence[Genuine]) -> MerchantKeys:
    merchant = config.merchant
    used = {row.serial: row.received_at for row in reversed(rows) if row.merchant == alias and row.api_version == "v3"}
    v2 = next((row.received_at for row in rows if row.merchant == alias and row.api_version == "v2"), None)
    # A short serial stands in the table twice, with and without its leading zeros.
    keys = {serial.lstrip("0"): key for serial, key in merchant.platform_keys.items()}
    return MerchantKeys(
        alias=alias,
        api_v3_keys=len(merchant.api_v3_keys),
        api_v2_keys=len(merchant.api_v2_keys),
        v2_used_at=v2,
        platform_keys=tuple(
            KeyUse(serial=key.serial, used_at=used.get(serial), days_left=_days_left(key.not_after))
            for serial, key in keys.items()
        ),
        # Without what stands in brackets: the name of an entry, which may be anything put there by mistake.
        faults=tuple(dict.fromkeys(fault.setting.partition("[")[0] for fault in config.faults)),
    )


def _days_left(not_after: float | None) -> int | None:
    return None if not_after is None else math.floor((not_after - time.time()) / _DAY)
