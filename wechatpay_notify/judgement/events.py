"""Judgement of what confirms nothing: it is told once, and the telling itself is the fact."""

from wechatpay_notify.models import SignalDelivery
from wechatpay_notify.protocol.types import Notification

from .verdict import Verdict


def judge_event(notification: Notification, alias: str, using: str) -> Verdict:
    """A notification that confirms nothing: it is told to notification_received once."""
    # An id that no database column would take is replaced by the digest; v2 has no id.
    known_by = notification.notification_id
    if not known_by or len(known_by) > 64 or not known_by.isascii() or not known_by.isprintable():
        known_by = notification.digest
    return told("received", "notification_received", f"{alias}:{known_by}", using)


def told(outcome: str, signal: str, subject: str, using: str) -> Verdict:
    """A verdict whose fact is the delivery itself: `duplicate` once every receiver has run."""
    rows = list(SignalDelivery.objects.using(using).filter(signal=signal, subject=subject).order_by("pk"))
    pending = [row for row in rows if row.status == SignalDelivery.Status.PENDING]
    return Verdict(
        outcome="duplicate" if rows and not pending else outcome,
        signal=signal,
        subject=subject,
        fresh=not rows,
        pending=pending,
    )
