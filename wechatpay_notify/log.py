"""The `wechatpay_notify` logger: one bounded, escaped line a request, numbers as `extra`.

Never writes a key, a body, or anything of the sender's that could break a line.
"""

import logging

from .models import NotificationLog
from .outcomes import Outcome

logger = logging.getLogger("wechatpay_notify")
MAX_DETAIL = 200


def report(row: NotificationLog, outcome: Outcome) -> None:
    """Write the line for one request, as loud as its outcome deserves."""
    numbers = {
        "outcome": outcome.code,
        "merchant": row.merchant,
        "notification_id": row.notification_id,
        "event_type": row.event_type,
        "out_trade_no": row.out_trade_no,
        "transaction_id": row.transaction_id,
    }
    line = " ".join(f"{name}={value!a}" for name, value in numbers.items() if value)
    extra = {name: ascii(value)[1:-1] for name, value in numbers.items()}  # a formatter may write these too
    logger.log(outcome.level, "%s %s", line, ascii(row.detail[:MAX_DETAIL]), extra=extra)


def warn(message: str, error: Exception) -> None:
    """A failure beside the outcome, in one line: what a database says further down quotes rows."""
    said = str(error).partition("\n")[0][:MAX_DETAIL]
    logger.warning("%s: %s %s", message, type(error).__name__, ascii(said))
