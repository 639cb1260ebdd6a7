"""Judgement: what a payment, a refund or any other event means for the shop's own record.

Never writes a fact and never locks; what it saw is checked again by the compare-and-set that acts on it.
"""

from wechatpay_notify.protocol.types import Merchant, Notification, RefundResult, Result

from .events import judge_event
from .orders import HEALED_BY_CONFIRMATION, not_ours
from .payments import already_paid, healed_by, judge_payment
from .refunds import REFUND_SIGNALS, judge_refund
from .verdict import HostError, Verdict

__all__ = [
    "HEALED_BY_CONFIRMATION",
    "REFUND_SIGNALS",
    "HostError",
    "Verdict",
    "already_paid",
    "healed_by",
    "judge",
    "judge_event",
    "not_ours",
]


def judge(
    result: Result, merchant: Merchant, using: str, *, notification: Notification | None, doubtful: bool
) -> Verdict:
    """Compare one payment or refund with the merchant and the order. Raises HostError.

    `doubtful` after a unique constraint refused: then also ask whether the transaction belongs to another order.
    """
    if isinstance(result, RefundResult):
        return judge_refund(result, merchant, using)
    return judge_payment(result, merchant, using, notification=notification, doubtful=doubtful)
