"""Around: the rows that tell an order's story, read with as many queries for many of them as for few.

Never reads what its reader may not view, nor a body.
"""

from django.db.models import Q

from wechatpay_notify import history
from wechatpay_notify.admin.disclosure import disarmed
from wechatpay_notify.admin.panels import MOST_ROWS, Links
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery

from .known import HEAVY, Known


def of(order: Order, links: Links) -> tuple[Known, bool]:
    """The rows around an order, notifications the newest first; and whether it has more notifications than these."""
    known = Known(links=links, orders=[order])
    known.deliveries = known.read(SignalDelivery.objects.filter(order=order.pk).defer("payload"), MOST_ROWS)
    known.refunds = known.read(Refund.objects.filter(order=order.pk), MOST_ROWS)
    for refund in known.refunds:
        refund.order = order
    # By number too: money that came before the order was recorded.
    unexpected = Q(order=order.pk) | Q(order=None, out_trade_no=order.out_trade_no)
    known.discrepancies = known.read(Discrepancy.objects.filter(unexpected), MOST_ROWS)
    if links.may_view(NotificationLog):
        # The notification of a combined payment goes by the combined order's number.
        numbers = [number for number in (order.out_trade_no, order.combine_out_trade_no) if number]
        rows = NotificationLog.objects.filter(out_trade_no__in=numbers).defer(*HEAVY)
        kept = rows.order_by("-verified", "-received_at", "-id")[: MOST_ROWS + 1]
        known.logs = [disarmed(row) for row in kept if _is_meant(row, order, known)]
    disputed = {row.transaction_id for row in known.logs if row.outcome == "conflict"} - {""}
    if disputed:
        known.orders += known.read(Order.objects.filter(transaction_id__in=disputed).exclude(pk=order.pk))
    missing = len(known.logs) > MOST_ROWS
    known.logs = _with_refused(_with_v2_refunds(_newest_first(known.logs[:MOST_ROWS])))
    return known, missing


def _is_meant(row: NotificationLog, order: Order, known: Known) -> bool:
    config = known.config(row.merchant)
    return history.is_meant(order, "" if config is None else config.merchant.mchid, row.out_trade_no)


def _newest_first(logs: list[NotificationLog]) -> list[NotificationLog]:
    return sorted(logs, key=lambda row: (row.received_at, row.pk), reverse=True)


def _with_v2_refunds(logs: list[NotificationLog]) -> list[NotificationLog]:
    """With the resource of v2 refunds, in one query: nothing else of theirs says what was reported."""
    v2 = [row for row in logs if row.outcome == "refunded" and row.api_version == NotificationLog.Version.V2]
    if v2:
        kept = NotificationLog.objects.filter(pk__in=[row.pk for row in v2])
        resources = dict(kept.values_list("pk", "resource"))
        for row in v2:
            row.resource = resources.get(row.pk)
    return logs


def _with_refused(logs: list[NotificationLog]) -> list[NotificationLog]:
    """Beside the proven ones those that were refused and claim the same notification: v3 hides the order's number."""
    ids = {row.notification_id for row in logs if row.verified} - {""}
    if not ids:
        return logs
    seen = {row.pk for row in logs}
    rows = NotificationLog.objects.filter(notification_id__in=ids, verified=False).defer(*HEAVY)
    # By the id first: in the order of the primary key alone a database might walk the whole table for fifty rows.
    kept = rows.order_by("notification_id", "-pk")[:MOST_ROWS]
    refused = [disarmed(row) for row in kept if row.pk not in seen]
    return _newest_first([*logs, *refused])
