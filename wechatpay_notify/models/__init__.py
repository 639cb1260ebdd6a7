"""What the app remembers: orders and refunds and their facts, every stored notification, the ledger of told receivers.

State moves are compare-and-set verbs on querysets; nothing reads a status and then saves it.
"""

from .desk import Desk
from .ledger import Discrepancy, SignalDelivery
from .logs import NotificationLog
from .orders import Order, OrderMismatch
from .refunds import Refund

__all__ = ["Desk", "Discrepancy", "NotificationLog", "Order", "OrderMismatch", "Refund", "SignalDelivery"]
