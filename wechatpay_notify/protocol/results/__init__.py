"""What a proven notification means for money: payments and refunds, read into one form whatever the API version.

Never judges: whose order it is and whether the amount fits is the app's to say.
"""

from collections.abc import Callable

from wechatpay_notify.protocol.types import Notification, Result

from .fields import ORDER_NUMBER, storable
from .payments import FAILED, PAID, payment_from_v2, payment_from_v3, payments
from .refunds import REFUND_NUMBER, refund_from_v2, refund_from_v3, refunds

__all__ = [
    "FAILED",
    "ORDER_NUMBER",
    "PAID",
    "REFUND_NUMBER",
    "payment_from_v2",
    "payment_from_v3",
    "read",
    "refund_from_v2",
    "refund_from_v3",
    "storable",
]

_READERS: dict[str, Callable[[Notification], tuple[Result, ...]]] = {"payment": payments, "refund": refunds}


def read(notification: Notification) -> tuple[Result, ...]:
    """The payments or the refund in a notification; none for any other event, or when type and shape do not fit.

    Raises Malformed (proven), or SignatureInvalid for a v2 refund notice, when a field it must have is missing.
    """
    reader = _READERS.get(notification.kind)
    return reader(notification) if reader else ()
