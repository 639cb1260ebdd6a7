"""Attempts: WeChat's schedule around the deliveries that came: which never did, when the next is due, when it ends.

Never claims to know: everything here is an estimate from the attempts that were stored.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from wechatpay_notify.models import NotificationLog, SignalDelivery
from wechatpay_notify.outcomes import is_acknowledged
from wechatpay_notify.protocol import moments

from .explanation import clock

LAST = len(moments.RETRY_DELAYS)
GRACE = timedelta(minutes=3)
"""How late an attempt may be before it is called missing: WeChat's schedule is no promise."""


def notes(rows: Iterable[NotificationLog], *, complete: bool = True) -> dict[int, list[str]]:
    """By primary key, what is to be said of the attempts around each row.

    `complete`: whether these are all deliveries of the numbers, so that what is not among them never came.
    """
    said: dict[int, list[str]] = defaultdict(list)
    rows = list(rows)
    healed = {row.replay_of for row in rows if row.replay_of is not None and is_acknowledged(row.outcome)}
    for group in _groups(rows):
        taken: set[int] = set()
        acknowledged = not complete
        for row in group:
            number = _number(row, group)
            if number is None:
                continue
            if row.attempt_estimate and not acknowledged:
                missing = [n for n in range(max(taken, default=0) + 1, number) if n not in taken]
                said[row.pk] += _missing(missing, row)
            taken.add(number)
            acknowledged = acknowledged or is_acknowledged(row.outcome)
        last = _last(group)
        if last is not None and not healed & {row.pk for row in group}:
            said[last.pk] += [*_overdue(last, taken), *_coming(last)]
    return said


def upcoming(rows: Iterable[NotificationLog]) -> datetime | None:
    """When WeChat is next expected to send one of these again; None if it will not."""
    now = timezone.now()
    ends = [last for group in _groups(rows) if (last := _last(group)) is not None]
    return min((moment for row in ends for moment in _schedule(row) if moment > now), default=None)


def next_try(delivery: SignalDelivery, rows: Iterable[NotificationLog]) -> tuple[datetime | None, str]:
    """When a receiver is tried again, and the same in words that follow "next attempt".

    By whichever comes first: WeChat's next attempt, which runs whatever is pending, or the worker, once it is due. No
    moment if there is only the worker left, for which it is due already.
    """
    due, sent = delivery.next_attempt_at, upcoming(rows)
    if due > timezone.now() and (sent is None or due <= sent):
        return due, _("at %(moment)s") % {"moment": clock(due)}
    if sent is not None:
        return sent, _("when WeChat sends again at %(moment)s") % {"moment": clock(sent)}
    return None, _("as soon as wechatpay_deliver runs")


def latest(rows: Iterable[NotificationLog]) -> set[int]:
    """The primary keys of those that nothing of the same notification came after; of a replay always."""
    rows = list(rows)
    return {group[-1].pk for group in _groups(rows)} | {row.pk for row in rows if row.replay_of is not None}


def _groups(rows: Iterable[NotificationLog]) -> list[list[NotificationLog]]:
    """The deliveries of each notification in the order they came."""
    found: dict[tuple[str, ...], list[NotificationLog]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row.received_at, row.pk)):
        if row.replay_of is None:
            v2 = (row.transaction_id, row.out_refund_no, row.event_type, str(row.verified))
            found[(row.merchant, row.notification_id, *(() if row.notification_id else v2))].append(row)
    return list(found.values())


def _number(row: NotificationLog, group: list[NotificationLog]) -> int | None:
    """Which attempt it was; of one that was refused unproven, by those of the same notification that were not."""
    proven = next((one for one in group if one.attempt_estimate), None)
    if row.attempt_estimate or proven is None or not proven.attempt_estimate:
        return row.attempt_estimate
    first = moments.schedule(proven.attempt_estimate, proven.received_at)[0]
    return moments.attempt(first, row.received_at.timestamp())


def _last(group: list[NotificationLog]) -> NotificationLog | None:
    """The newest that is known to be an attempt: anybody may claim a notification's id."""
    return next((row for row in reversed(group) if row.attempt_estimate), None)


def _missing(numbers: list[int], row: NotificationLog) -> list[str]:
    if not numbers or not row.attempt_estimate:
        return []
    schedule = moments.schedule(row.attempt_estimate, row.received_at)
    first, last = schedule[numbers[0] - 1], schedule[numbers[-1] - 1]
    text = ngettext(
        "Attempt %(first)d never reached this site: look at the proxy, or for an outage at %(since)s.",
        "Attempts %(first)d–%(last)d never reached this site: look at the proxy, or for an outage between %(since)s "
        "and %(until)s.",
        len(numbers),
    )
    since, until = clock(first, row.received_at), clock(last, row.received_at)
    return [text % {"first": numbers[0], "last": numbers[-1], "since": since, "until": until}]


def _overdue(row: NotificationLog, taken: set[int]) -> list[str]:
    """What should have come after the last one, and did not."""
    late = timezone.now() - GRACE
    missing = [(n, due) for n, due in _numbered(row) if due < late and n not in taken]
    if not missing:
        return []
    (first, since), (last, until) = missing[0], missing[-1]
    text = ngettext(
        "Attempt %(first)d should have come at %(since)s and did not: look at the proxy, or for an outage.",
        "Attempts %(first)d–%(last)d should have come between %(since)s and %(until)s and did not: look at the proxy, "
        "or for an outage.",
        len(missing),
    )
    return [text % {"first": first, "last": last, "since": clock(since), "until": clock(until)}]


def _numbered(row: NotificationLog) -> list[tuple[int, datetime]]:
    """The attempts after this one, each with its number."""
    return list(enumerate(_schedule(row), (row.attempt_estimate or 0) + 1))


def _schedule(row: NotificationLog) -> tuple[datetime, ...]:
    """The attempts after this one, if it was answered with a failure."""
    if not row.attempt_estimate or is_acknowledged(row.outcome):
        return ()
    return moments.schedule(row.attempt_estimate, row.received_at)[row.attempt_estimate :]


def _coming(row: NotificationLog) -> list[str]:
    if not row.attempt_estimate or is_acknowledged(row.outcome):
        return []
    schedule, now = moments.schedule(row.attempt_estimate, row.received_at), timezone.now()
    later = [(number, moment) for number, moment in _numbered(row) if moment > now]
    if not later:
        text = _(
            "WeChat has given up since %(moment)s: process the notification again, or run wechatpay_deliver for what "
            "is recorded and not told."
        )
        return [text % {"moment": clock(schedule[-1])}]
    number, moment = later[0]
    text = _("WeChat sends again at %(next)s (attempt %(number)d of %(of)d) and gives up after %(last)s.")
    return [text % {"next": clock(moment), "number": number, "of": LAST, "last": clock(schedule[-1])}]
