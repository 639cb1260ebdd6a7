"""Known: what the record says around some notifications, read with a few queries, for words to be put to it.

Never holds what its reader may not view.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model, Q, QuerySet

from wechatpay_notify import refusals
from wechatpay_notify.admin.disclosure import disarmed
from wechatpay_notify.admin.panels import MOST_ROWS, Links, called_off
from wechatpay_notify.conf import MerchantConfig, conf
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery

MOST_NAMED = 20
"""Rows of a kind that the words for one notification look at."""
HEAVY = ("body", "resource")
NEEDLESS = refusals.CODES | {"duplicate", "received", "refunded", ""}
"""Outcomes whose words name no order."""
TOLD = ("confirmed", "receiver_failed", "no_receiver")
"""Outcomes whose words name receivers."""
DISPUTED = ("amount_mismatch", "unexpected", "receiver_failed")
"""Outcomes whose words name a discrepancy, or receivers that are told of one."""


@dataclass(kw_only=True)
class Known:
    """Rows as they stand now, disarmed; empty lists where there is none or it may not be viewed."""

    orders: list[Order] = field(default_factory=list)
    discrepancies: list[Discrepancy] = field(default_factory=list)
    deliveries: list[SignalDelivery] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    logs: list[NotificationLog] = field(default_factory=list)
    """Other deliveries of the same numbers."""
    links: Links | None = None
    _merchants: dict[str, MerchantConfig | None] = field(default_factory=dict)
    _siblings: list[Order] | None = None

    @classmethod
    def about(cls, row: NotificationLog, links: Links) -> "Known":
        """What there is around one notification, its resource loaded."""
        numbers, known = row.order_numbers(), cls(links=links)
        concerned = Q(out_trade_no__in=numbers)
        if row.transaction_id:
            concerned |= Q(transaction_id=row.transaction_id)
        if row.outcome not in NEEDLESS:
            known.orders = known.read(Order.objects.filter(concerned))
        if row.outcome in DISPUTED:
            known.discrepancies = known.read(Discrepancy.objects.filter(concerned))
        subjects = [f"discrepancy:{found.pk}" for found in known.discrepancies]
        if row.notification_id:
            subjects.append(f"{row.merchant}:{row.notification_id}")
        if row.outcome in TOLD:
            told = Q(order__in=[order.pk for order in known.orders]) | Q(subject__in=subjects)
            known.deliveries = known.read(SignalDelivery.objects.filter(told).defer("payload"))
        if row.outcome == "refunded":
            known.refunds = known.read(Refund.objects.filter(out_refund_no=row.out_refund_no).select_related("order"))
        if row.outcome in ("", "duplicate"):
            known.logs = known.read(_same(row).defer(*HEAVY, "headers"), MOST_ROWS)
        return known

    def read(self, rows: QuerySet[Any], most: int = MOST_NAMED) -> list[Any]:
        """The newest of these, if they may be viewed."""
        if self.links is None or not self.links.may_view(rows.model):
            return []
        return [disarmed(row) for row in rows.order_by("-pk")[:most]]

    def sees(self, model: type[Model]) -> bool:
        return self.links is not None and self.links.may_view(model)

    def config(self, alias: str) -> MerchantConfig | None:
        """The merchant as it is configured now; None if it is not, or its provider fails."""
        if alias not in self._merchants:
            self._merchants[alias] = _quietly(lambda: conf.merchant(alias))
        return self._merchants[alias]

    def order(self, row: NotificationLog) -> Order | None:
        """The order that a notification is about: its transaction's first, if it has the number too."""
        config = self.config(row.merchant)
        ours = [order for order in self.orders if config is None or order.mchid == config.merchant.mchid]
        named = [o for o in ours or self.orders if row.out_trade_no in (o.out_trade_no, o.combine_out_trade_no)]
        paid = [order for order in named if order.transaction_id == row.transaction_id]
        return next(iter(paid or named), None)

    def discrepancy(self, row: NotificationLog, *reasons: str) -> Discrepancy | None:
        """What was recorded of this notification's payment for one of these reasons."""
        found = [
            one
            for one in self.discrepancies
            if one.reason in reasons
            and one.merchant == row.merchant
            # A combined payment goes by its first transaction; any of its orders may be what does not fit.
            and (one.transaction_id == row.transaction_id or one.out_trade_no != row.out_trade_no)
        ]
        return next((one for one in found if one.transaction_id == row.transaction_id), next(iter(found), None))

    def holder(self, row: NotificationLog, order: Order | None) -> Order | None:
        """Another order that this transaction paid."""
        others = [one for one in self.orders if one.transaction_id and one.transaction_id == row.transaction_id]
        return next((one for one in others if order is None or one.pk != order.pk), None)

    def sibling(self, order: Order) -> Order | None:
        """The order that paid first for the same reference."""
        if not order.reference:
            return None
        if self._siblings is None:
            ours = Order.objects.filter(reference=order.reference, mchid=order.mchid, sub_mchid=order.sub_mchid)
            self._siblings = self.read(ours.exclude(pk=order.pk))
        return next((one for one in self._siblings if one.settled_reference), None)

    def unfinished(self) -> list[SignalDelivery]:
        return [row for row in self.deliveries if row.status == SignalDelivery.Status.PENDING]

    def given_up(self) -> list[SignalDelivery]:
        gave_up = SignalDelivery.Status.GAVE_UP
        return [row for row in self.deliveries if row.status == gave_up and not called_off(row)]

    def link(self, row: Model | None) -> str:
        return self.links.to(row) if self.links is not None else ""


def _same(row: NotificationLog) -> QuerySet[NotificationLog]:
    """Proven deliveries of the same thing, by an index."""
    rows = NotificationLog.objects.filter(verified=True).exclude(pk=row.pk)
    if row.transaction_id:
        return rows.filter(transaction_id=row.transaction_id)
    return rows.filter(notification_id=row.notification_id) if row.notification_id else rows.none()


def _quietly(ask: Callable[[], MerchantConfig | None]) -> MerchantConfig | None:
    try:
        return ask()
    except Exception:  # the host's provider may raise anything, and the page must not
        return None
