"""Refusals: keeping what was not proven, within a budget, so that a flood cannot fill the table.

Never lets a refused request cost more than its budget, and never stores one in place of a genuine one.
"""

import time

from django.core.cache import cache
from django.db.utils import Error as DatabaseFailure

from .conf import conf
from .log import warn
from .models import NotificationLog
from .protocol import flatxml, v3
from .protocol.errors import NotificationError
from .protocol.results import storable

MAX_STORED_BODY = 16 * 1024
"""Bytes of an unproven body that are kept; the rest is cut and `detail` says so."""
_CUT = "cut)"
_PRUNE_AT_ONCE = 1000
CODES = frozenset(error.code for error in NotificationError.__subclasses__())
"""Outcomes of refused requests."""


def count() -> int:
    """Count one unproven request; which it is this minute, over all workers (one counter in Django's cache)."""
    key = _key()
    try:
        cache.add(key, 0, timeout=120)
        return int(cache.incr(key))
    except Exception as error:  # whatever the cache backend raises: then nothing unproven is stored
        warn("the cache failed; an unproven request was not stored", error)
        return int(conf.REJECTED_LOG_PER_MINUTE) + 1


def counted() -> int | None:
    """Unproven requests this minute so far, stored or not; None when the cache fails. Counts nothing itself."""
    try:
        return int(cache.get(_key(), 0))
    except Exception as error:
        warn("the cache failed; unproven requests cannot be told", error)
        return None


def prepare(row: NotificationLog) -> None:
    """Cut the body and add the numbers the sender claims, so that the row is found by them."""
    body = bytes(row.body)
    if len(body) <= MAX_STORED_BODY:
        number(row)
    if len(body) > MAX_STORED_BODY:
        row.body = body[:MAX_STORED_BODY]
        row.detail = f"{row.detail} (body of {len(body)} bytes, {_CUT}".strip()


def number(row: NotificationLog) -> None:
    """Add the numbers that the body names outside of what is encrypted."""
    claimed = _claims(row.api_version, bytes(row.body))
    for name, limit in (("notification_id", 64), ("event_type", 64), ("out_trade_no", 32), ("transaction_id", 32)):
        setattr(row, name, storable(claimed.get(name, ""))[:limit])


def is_cut(row: NotificationLog) -> bool:
    """Whether the end of the body is missing."""
    return not row.verified and len(row.body) == MAX_STORED_BODY and row.detail.endswith(_CUT)


def prune(using: str) -> None:
    """Keep the newest REJECTED_LOG_KEEP unproven rows."""
    # By outcome too: `verified` has no index, and the first forgery of a minute must not walk the whole table.
    rows = NotificationLog.objects.using(using).filter(outcome__in=CODES, verified=False)
    unproven = rows.order_by("-pk").values_list("pk", flat=True)
    try:
        old = list(unproven[conf.REJECTED_LOG_KEEP : conf.REJECTED_LOG_KEEP + _PRUNE_AT_ONCE])
        if old:
            NotificationLog.objects.using(using).filter(pk__in=old).delete()
    except DatabaseFailure as error:
        warn("unproven rows could not be pruned", error)


def _key() -> str:
    return f"wechatpay_notify:unproven:{int(time.time() // 60)}"


def _claims(version: str, body: bytes) -> dict[str, str]:
    try:
        if version == "v2":
            return flatxml.parse_xml(body, "xml")
        envelope = v3.strict_json(body, "the body")
    except NotificationError:
        return {}
    claimed = {"notification_id": envelope.get("id"), "event_type": envelope.get("event_type")}
    return {name: value for name, value in claimed.items() if isinstance(value, str)}
