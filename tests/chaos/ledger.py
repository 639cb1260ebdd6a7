"""What came of it, counted in the database: what is lost, what was done twice, what is left.

Never trusts the package's own books alone: the receivers' rows are counted.
"""

from collections import Counter
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Count

from tests.shop.models import Shipment
from wechatpay_notify.models import NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES

from .receivers import OF_PAYMENTS, OF_REFUNDS
from .sender import AMOUNT, REFUNDED, Notice


@dataclass(frozen=True, slots=True)
class Found:
    """All zero but `paid`, if the promise holds."""

    paid: int
    unrecorded: int
    """Copies answered with success without a row of their own, and acknowledged notices whose fact is not there."""
    untold: int
    """Facts that a receiver was never told."""
    double: int
    """Receivers' rows beyond the first."""
    pending: int
    gave_up: int

    @property
    def holds(self) -> bool:
        return not (self.unrecorded or self.untold or self.double or self.pending or self.gave_up)


def expect(notices: list[Notice]) -> None:
    """Record the orders that the shop records itself."""
    with transaction.atomic():
        for notice in notices:
            if notice.number.startswith("recorded-"):
                Order.objects.expect(out_trade_no=notice.number, amount=AMOUNT)


def pending() -> int:
    return SignalDelivery.objects.filter(status=SignalDelivery.Status.PENDING).count()


def count(notices: list[Notice], acknowledged: Counter[Notice]) -> Found:
    paid = dict(Order.objects.filter(status=Order.Status.PAID).values_list("out_trade_no", "transaction_id"))
    refunds = Refund.objects.filter(status="SUCCESS", amount=REFUNDED, order__refunded_amount=REFUNDED)
    refunded = dict(refunds.values_list("out_refund_no", "transaction_id"))
    effects = _counted(Shipment.objects.values_list("out_trade_no", "receiver"))
    success = [code for code, outcome in OUTCOMES.items() if not outcome.word]
    stored = _counted(NotificationLog.objects.filter(outcome__in=success).values_list("out_trade_no", "out_refund_no"))
    unrecorded = untold = 0
    for notice in notices:
        fact = refunded.get(notice.out_refund_no) if notice.refund else paid.get(notice.number)
        unrecorded += max(0, acknowledged[notice] - stored[notice.number, notice.out_refund_no])
        unrecorded += bool(acknowledged[notice]) and fact != notice.transaction
        receivers = OF_REFUNDS if notice.refund else OF_PAYMENTS
        untold += sum(not effects[notice.number, receiver] for receiver in receivers) if fact else 0
    gave_up = SignalDelivery.objects.filter(status=SignalDelivery.Status.GAVE_UP).count()
    double = sum(times - 1 for times in effects.values())
    return Found(len(paid), unrecorded, untold, double, pending(), gave_up)


def _counted(rows) -> Counter[tuple[str, str]]:
    return Counter({row[:2]: row[2] for row in rows.annotate(Count("pk")).order_by()})
