"""The outbox: what the ledger's rows say, and the receivers' arguments rebuilt from them.

Never calls a receiver.
"""

import copy
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Model
from django.utils import timezone

from wechatpay_notify.conf import conf
from wechatpay_notify.judgement import REFUND_SIGNALS, Verdict
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.protocol.types import PaymentResult, RefundResult, Result
from wechatpay_notify.signals import LEDGER_SIGNALS, Receiver

UNKNOWN_ORDER_GRACE = timedelta(minutes=5)
"""An order that is committed a little late heals with WeChat's first retries; only then is the shop told."""
INLINE_LEEWAY = timedelta(seconds=15)
"""For a worker beside inline delivery: what the request is about to run is not due before WeChat's first retry."""
WHOLLY_REFUNDED = "Not run: the whole payment was refunded before."
"""The last error of a fulfilment that was called off; only a refund that is closed takes it up again."""
OF_REFUNDS = frozenset(REFUND_SIGNALS.values())

_SENDERS: dict[str, type[Model]] = {"notification_received": NotificationLog} | dict.fromkeys(OF_REFUNDS, Refund)
"""Sender of each ledger signal; Order where none is named."""


def called_off(row: SignalDelivery) -> dict[str, Any]:
    """What becomes of a delivery whose payment was wholly refunded; done stays what was done before it was forced."""
    if row.done_at is not None:
        return {"status": SignalDelivery.Status.DONE}
    return {"status": SignalDelivery.Status.GAVE_UP, "last_error": WHOLLY_REFUNDED}


@dataclass(slots=True)
class Known:
    """What the caller has in memory already, so that the receivers' arguments need not be read again."""

    notification: NotificationLog | None = None
    orders: dict[int, Order] = field(default_factory=dict)


def sender(signal: str) -> type[Model]:
    return _SENDERS.get(signal, Order)


def names(signal: str) -> list[str]:
    """The receivers connected now to a ledger signal."""
    return LEDGER_SIGNALS[signal].names(sender(signal))


def receiver(signal: str, name: str) -> Receiver | None:
    """As this process knows it: none of a signal that only a newer release has."""
    known = LEDGER_SIGNALS.get(signal)
    return None if known is None else known.receiver(name, sender(signal))


def sequence(row: SignalDelivery) -> tuple[bool, int]:
    """Rows are told in their order, but a refund after its payment, even if it was reported first."""
    return row.signal in OF_REFUNDS, row.pk


def rows_for(verdict: Verdict, notification: NotificationLog | None, event: dict[str, Any]) -> list[SignalDelivery]:
    """The deliveries to record for a new fact: one for each receiver connected now."""
    receivers = names(verdict.signal)
    if not receivers and verdict.signal == "payment_confirmed":
        receivers = [""]  # a placeholder keeps the payment pending until somebody is there to be told
    leeway = INLINE_LEEWAY if conf.is_inline else timedelta()
    due = timezone.now() + (UNKNOWN_ORDER_GRACE if verdict.outcome == "unknown_order" else leeway)
    payload = {"notification": notification and notification.pk} | _about(verdict, event)
    return [
        SignalDelivery(
            signal=verdict.signal,
            subject=verdict.subject,
            receiver=name,
            order=verdict.order,
            payload=payload,
            next_attempt_at=due,
        )
        for name in receivers
    ]


def arguments(row: SignalDelivery, known: Known, using: str) -> dict[str, Any]:
    """What the row's receiver is called with besides `signal` and `sender`."""
    payload = row.payload
    notification = known.notification
    if notification is None or notification.pk != payload["notification"]:
        notification = notifications([row], using).get(payload["notification"])
    told: dict[str, Any] = {"notification": notification, "idempotency_key": row.idempotency_key}
    if row.signal == "notification_received":
        return told | {"event_type": payload["event_type"], "resource": payload["resource"]}
    order = copy.copy(known.orders.get(row.order_id or 0))
    if order is None and row.order_id is not None:
        order = Order.objects.using(using).filter(pk=row.order_id).first()
    told["order"] = order
    if row.signal in OF_REFUNDS:
        refund = Refund.objects.using(using).get(pk=payload["refund"])
        return told | {"refund": refund, "result": RefundResult(**_unpacked(payload["result"]))}
    told["payment"] = PaymentResult(**_unpacked(payload["payment"]))
    if row.signal == "payment_unexpected":
        discrepancy = Discrepancy.objects.using(using).get(pk=payload["discrepancy"])
        told |= {"reason": payload["reason"], "discrepancy": discrepancy}
    return told


def notifications(rows: list[SignalDelivery], using: str) -> dict[int, NotificationLog]:
    """By primary key, those that these rows tell of and that were not pruned."""
    pks = {row.payload["notification"] for row in rows} - {None}
    # Without what is large and seldom looked at; reading such a column later loads it.
    return NotificationLog.objects.using(using).defer("body", "headers", "resource").in_bulk(pks)


def _about(verdict: Verdict, event: dict[str, Any]) -> dict[str, Any]:
    if verdict.result is None:
        return event
    if verdict.refund is not None:
        return {"refund": verdict.refund.pk, "result": _packed(verdict.result)}
    return {
        "payment": _packed(verdict.result),
        "reason": verdict.reason,
        "discrepancy": verdict.discrepancy and verdict.discrepancy.pk,
    }


def _packed(result: Result) -> dict[str, Any]:
    moment = result.success_time
    return asdict(result) | {"success_time": moment.isoformat() if moment else None}


def _unpacked(fields: dict[str, Any]) -> dict[str, Any]:
    moment = fields["success_time"]
    return fields | {"success_time": datetime.fromisoformat(moment) if moment else None}
