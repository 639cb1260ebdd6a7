"""Verdict: what is to be done about one payment or refund, or about a notification that confirms nothing.

Never does it: settlement acts on verdicts, delivery tells of them.
"""

from dataclasses import dataclass, field

from wechatpay_notify.models import Discrepancy, Order, Refund, SignalDelivery
from wechatpay_notify.protocol.types import PaymentResult, RefundResult, Result


class HostError(Exception):
    """A callable of the host project (resolver, merchant provider) raised or answered nonsense."""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What is to be done; without a result about a notification that confirms nothing."""

    outcome: str
    result: Result | None = None
    order: Order | None = None
    settles: Order | None = None
    """The order to move to paid."""
    refunds: bool = False
    """Whether to record a refund of the order, or to move the one that is known."""
    refund: Refund | None = None
    """The refund as it is known, and as it was recorded."""
    refunded: int = 0
    """What the order's `refunded_amount` becomes when it settles or refunds."""
    signal: str = ""
    """Ledger signal to send, "" for none."""
    subject: str = ""
    """What the signal is about; one delivery a receiver for each. A new row gets its subject when recorded."""
    fresh: bool = False
    """Whether the fact is new, so that deliveries are to be made."""
    reason: str = ""
    """Discrepancy to record, "" for none."""
    discrepancy: Discrepancy | None = None
    heals: bool = False
    """Whether confirming resolves discrepancies recorded earlier for this payment."""
    detail: str = ""
    waits: bool = False
    """Whether nobody may be told yet: the payment of this refund was not reported."""
    pending: list[SignalDelivery] = field(default_factory=list)
    """Deliveries recorded earlier for this payment or refund and not done."""

    @property
    def payment(self) -> PaymentResult:
        """The result; every verdict that settles or heals has a payment's."""
        if not isinstance(self.result, PaymentResult):
            raise TypeError("this verdict is about no payment")
        return self.result

    @property
    def refunding(self) -> RefundResult:
        """The result; every verdict that moves a refund has a refund's."""
        if not isinstance(self.result, RefundResult):
            raise TypeError("this verdict is about no refund")
        return self.result
