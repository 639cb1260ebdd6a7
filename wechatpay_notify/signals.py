"""What the shop connects to: signals whose receivers are told through the ledger, each by its name.

Never sent directly by the app (notification_rejected apart): delivery.py calls each receiver, in a transaction of
its own.
"""

import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from asgiref.sync import async_to_sync, iscoroutinefunction
from django.dispatch import Signal

Receiver = Callable[..., Any]
MAX_NAME = 255
"""Length of SignalDelivery.receiver."""


@dataclass(frozen=True, slots=True)
class _Connection:
    reference: Callable[[], Receiver | None]
    sender: object


class LedgerSignal(Signal):
    """A signal that knows its receivers by name, so that the ledger can call one of them later, or again.

    A receiver's name is its `dispatch_uid`, else `module.qualname`. Lambdas and local functions need a `dispatch_uid`;
    two receivers of one name are refused. Both raise ValueError when connected.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self._connections: dict[str, _Connection] = {}

    def connect(
        self, receiver: Receiver, sender: object = None, weak: bool = True, dispatch_uid: Hashable | None = None
    ) -> None:
        name = receiver_name(receiver, dispatch_uid)
        connected = self._live(name)
        if connected is not None and (connected != receiver or self._connections[name].sender is not sender):
            raise ValueError(f"{name!r} is connected to {self.name} already: give one of the two a dispatch_uid")
        super().connect(receiver, sender=sender, weak=weak, dispatch_uid=dispatch_uid)
        self._connections[name] = _Connection(_reference(receiver) if weak else lambda: receiver, sender)

    def disconnect(
        self, receiver: Receiver | None = None, sender: object = None, dispatch_uid: Hashable | None = None
    ) -> bool:
        disconnected = super().disconnect(receiver, sender=sender, dispatch_uid=dispatch_uid)
        if disconnected:
            self._connections.pop(receiver_name(receiver, dispatch_uid), None)
        return disconnected

    def names(self, sender: type) -> list[str]:
        """The names of the receivers connected now for this sender, in the order of connection."""
        return [name for name in list(self._connections) if self.receiver(name, sender) is not None]

    def receiver(self, name: str, sender: type) -> Receiver | None:
        """The receiver of this name as a plain function, or None if this process has none connected."""
        receiver = self._live(name)
        if receiver is None or self._connections[name].sender not in (None, sender):
            return None
        return async_to_sync(receiver) if iscoroutinefunction(receiver) else receiver

    def _live(self, name: str) -> Receiver | None:
        connection = self._connections.get(name)
        return connection.reference() if connection else None


def receiver_name(receiver: Any, dispatch_uid: Hashable | None) -> str:
    """The name the ledger knows a receiver by; it must stay the same over restarts and deploys. Raises ValueError."""
    if dispatch_uid is not None:
        name = str(dispatch_uid)
    else:
        qualname = getattr(receiver, "__qualname__", None)
        if qualname is None or "<" in qualname:  # <lambda>, <locals>
            raise ValueError(
                f"{receiver!r} has no lasting name: connect a module-level function or method, or give a dispatch_uid"
            )
        name = f"{receiver.__module__}.{qualname}"
    if not 0 < len(name) <= MAX_NAME:
        raise ValueError(f"the receiver's name has {len(name)} characters; give a dispatch_uid of at most {MAX_NAME}")
    return name


def _reference(receiver: Receiver) -> Callable[[], Receiver | None]:
    if hasattr(receiver, "__self__") and hasattr(receiver, "__func__"):
        return weakref.WeakMethod(receiver)
    return weakref.ref(receiver)


payment_confirmed = LedgerSignal("payment_confirmed")
"""The order is paid: fulfil it. Runs to success exactly once an order. Sender `Order`; order, payment, notification,
idempotency_key."""

payment_failed = LedgerSignal("payment_failed")
"""WeChat reports that a payment of a pending order failed; the order stays pending. Arguments as payment_confirmed."""

payment_unexpected = LedgerSignal("payment_unexpected")
"""Genuine money that must not fulfil an order. As payment_confirmed, and reason and discrepancy; order may be None."""

refund_confirmed = LedgerSignal("refund_confirmed")
"""The money is back with the customer. Sender `Refund`; refund, order, result, notification, idempotency_key."""

refund_abnormal = LedgerSignal("refund_abnormal")
"""The money could not go back the way it came: somebody must act. Arguments as refund_confirmed."""

refund_closed = LedgerSignal("refund_closed")
"""The refund was given up, the money stays with the shop. Arguments as refund_confirmed."""

notification_received = LedgerSignal("notification_received")
"""A genuine notification that confirms nothing. Sender `NotificationLog`; notification, event_type, resource,
idempotency_key."""

notification_rejected = Signal()
"""A stored notification was refused; best effort, for alerting. Sender `NotificationLog`; notification, outcome."""

LEDGER_SIGNALS = {
    signal.name: signal
    for signal in (
        payment_confirmed,
        payment_failed,
        payment_unexpected,
        refund_confirmed,
        refund_abnormal,
        refund_closed,
        notification_received,
    )
}
