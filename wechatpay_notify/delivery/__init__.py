"""Delivery: telling the receivers that are due, each in a transaction of its own together with its mark "done".

Never waits for a receiver that another process is running, and never lets one failure stop the others.
"""

from . import receivers
from .outbox import UNKNOWN_ORDER_GRACE, WHOLLY_REFUNDED, Known, called_off, names, rows_for, sequence
from .telling import Telling, claim, milliseconds, run
from .worker import deliver_due, due

__all__ = [
    "UNKNOWN_ORDER_GRACE",
    "WHOLLY_REFUNDED",
    "Known",
    "Telling",
    "called_off",
    "claim",
    "deliver_due",
    "due",
    "milliseconds",
    "names",
    "receivers",
    "rows_for",
    "run",
    "sequence",
]
