"""The newest notifications that were proven genuine: when the last came, how fast they were answered, by which keys.

Never reads a body or a decrypted resource; of the headers only the serial is kept.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from wechatpay_notify.models import NotificationLog

MOST = 500
RECENT = timedelta(days=1)
"""How far back answers are timed: what was slow last week is no news."""
_COLUMNS = ("pk", "received_at", "merchant", "api_version", "event_type", "out_trade_no", "duration_ms", "headers")


@dataclass(frozen=True, slots=True, kw_only=True)
class Genuine:
    pk: int
    received_at: datetime
    merchant: str
    api_version: str
    event_type: str
    out_trade_no: str
    duration_ms: int | None
    serial: str
    """What Wechatpay-Serial named, without leading zeros; "" in v2."""


def newest() -> list[Genuine]:
    """The newest MOST that WeChat sent, newest first; not what was processed again by hand.

    One statement along the index of moments: it passes over unproven rows, of which REJECTED_LOG_KEEP are kept.
    """
    rows: Any = NotificationLog.objects.filter(verified=True, replay_of=None).order_by("-received_at", "-pk")
    return [_genuine(row) for row in rows.values(*_COLUMNS)[:MOST]]


def p95(rows: Sequence[Genuine], now: datetime) -> tuple[int | None, int]:
    """Milliseconds within which 95 % of these were answered in the last day, and of how many that is.

    None where none came.
    """
    times = sorted(row.duration_ms for row in rows if row.duration_ms is not None and row.received_at > now - RECENT)
    return (times[math.ceil(len(times) * 0.95) - 1] if times else None), len(times)


def _genuine(row: dict[str, Any]) -> Genuine:
    headers = row.pop("headers")
    return Genuine(**row, serial=_serial(row["api_version"], headers))


def _serial(version: str, headers: Any) -> str:
    named = {str(name).lower(): value for name, value in headers.items()} if isinstance(headers, dict) else {}
    return str(named.get("wechatpay-serial", "")).lstrip("0") if version == "v3" else ""
