"""The figures: everything that the strip of the admin and the view for monitoring show, measured at one moment.

Never counts beyond a cap, and never asks the database without an index.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from wechatpay_notify import refusals
from wechatpay_notify.conf import conf
from wechatpay_notify.delivery import receivers
from wechatpay_notify.models import Discrepancy, Refund, SignalDelivery

from . import days, genuine, keys
from .days import Day
from .genuine import Genuine
from .keys import MerchantKeys

MOST_COUNTED = 1000
"""Of what a person has to look at: beyond it the exact number helps nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    at: datetime
    last: Genuine | None
    """The newest genuine notification; None if there was none, or it was pruned."""
    today: Day
    p95_ms: int | None
    """Of those answered in the last day, at most the newest `genuine.MOST`."""
    timed: int
    """How many answers that is."""
    due: int
    """Deliveries that should have been made by now, at most MOST_COUNTED."""
    overdue_seconds: int | None
    """How long the oldest of them is overdue."""
    gave_up: int
    """Given up because they failed; not those that a person closed, nor those called off by a refund."""
    open_discrepancies: int
    abnormal_refunds: int
    unproven: int | None
    """Unproven requests this minute, stored or not; None when the cache fails."""
    merchants: tuple[MerchantKeys, ...]

    @property
    def since_last(self) -> int | None:
        """Seconds since the newest genuine notification."""
        return None if self.last is None else max(0, int((self.at - self.last.received_at).total_seconds()))

    @property
    def not_stored(self) -> int | None:
        """Unproven requests of this minute that were over the budget: answered, logged, not stored."""
        return None if self.unproven is None else max(0, self.unproven - int(conf.REJECTED_LOG_PER_MINUTE))


def measure() -> Figures:
    """Measure; seven statements. Raises django.db's errors."""
    now = timezone.now()
    rows = genuine.newest()
    p95_ms, timed = genuine.p95(rows, now)
    due = SignalDelivery.objects.filter(status=SignalDelivery.Status.PENDING, next_attempt_at__lte=now)
    oldest = due.order_by("next_attempt_at").values_list("next_attempt_at", flat=True).first()
    return Figures(
        at=now,
        last=rows[0] if rows else None,
        today=days.today(now),
        p95_ms=p95_ms,
        timed=timed,
        due=_capped(due),
        overdue_seconds=None if oldest is None else int((now - oldest).total_seconds()),
        gave_up=_capped(receivers.given_up()),
        open_discrepancies=_capped(Discrepancy.objects.filter(resolved_at=None)),
        abnormal_refunds=_capped(Refund.objects.filter(status=Refund.Status.ABNORMAL)),
        unproven=refusals.counted(),
        merchants=keys.in_use(rows),
    )


def _capped(rows: QuerySet[Any]) -> int:
    return rows.order_by()[:MOST_COUNTED].count()
