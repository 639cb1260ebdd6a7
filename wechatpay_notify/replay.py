"""Replay: a stored notification taken again from its bytes, after a key or an order was mended.

Never believes a byte more than the first time, never changes the row it takes, and never stores what is not proven.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import router, transaction
from django.db.models import QuerySet
from django.db.utils import Error as DatabaseFailure
from django.utils import timezone
from django.utils.translation import gettext as _

from . import processing, refusals
from .conf import MerchantConfig, conf
from .log import report, warn
from .models import NotificationLog, SignalDelivery
from .outcomes import OUTCOMES, is_acknowledged
from .protocol import v3
from .protocol.errors import Misconfigured
from .questions import QUESTIONS
from .settlement import Settlement

MENDABLE = (
    "unknown_order",
    "amount_mismatch",
    "conflict",
    "wrong_merchant",
    "source_refused",
    "undecryptable",
    "signature_invalid",
    "unknown_serial",
    "algorithm_refused",
    "misconfigured",
    "unavailable",
    "error",
)
"""Refusals that a mended key, setting or order may turn. Not a probe, nor what was unsigned, stale, malformed or too
large: no mend changes their bytes or their time of arrival."""
SIGNED_HEADERS = ("wechatpay-timestamp", "wechatpay-nonce", "wechatpay-signature", "wechatpay-serial")


@dataclass(frozen=True, slots=True)
class Replayed:
    """How it ended."""

    outcome: str
    """As in the outcome table; if it was not taken at all, what it was before."""
    detail: str
    log: NotificationLog | None = None
    """The new row, with `replay_of`; None when nothing was stored."""

    @property
    def accepted(self) -> bool:
        """Whether it was proven and agrees with the record now, be it once more."""
        return self.log is not None and is_acknowledged(self.outcome)


def process_again(row: NotificationLog) -> Replayed:
    """Take a stored notification down the same line: signature checked as ever, freshness as of its arrival.

    Nobody is told twice of what was told, and notification_rejected is not sent: whoever asked sees the outcome.
    Call it outside of a transaction: inside of one Django raises RuntimeError.
    """
    # RuntimeError now, where it would look like a failed replay later; a database that fails is met again below.
    with contextlib.suppress(DatabaseFailure), transaction.atomic(router.db_for_write(SignalDelivery), durable=True):
        pass
    why = replayable(row)
    if why:
        return Replayed(row.outcome, why)
    started = time.monotonic()
    try:
        config = _config(row)
    except Misconfigured as error:
        return Replayed(error.code, error.detail)
    except Exception as error:  # whatever the host's provider raises
        warn("the merchant provider raised", error)
        return Replayed("unavailable", _("The merchant provider raised: see the log."))
    again, body = _copy(row), bytes(row.body)
    questions: list[str] = []

    def settle(proven: processing.Proven) -> str:
        notification = proven.notification
        if QUESTIONS.get(notification.event_type) == notification.version:
            questions.append(notification.event_type)
            return ""
        return Settlement(proven.merchant, notification, again, started).run(proven.found)

    arrived = row.received_at.timestamp()
    code = processing.take(again, again.headers, body, config, now=arrived, started=started, settle=settle)
    if questions:
        return Replayed(row.outcome, _a_question())
    report(again, OUTCOMES[code])
    return Replayed(code, again.detail, again if again.pk is not None else None)


def replayable(row: NotificationLog) -> str:
    """Why this row cannot be processed again, in the active language; "" if it can."""
    if row.replay_of is not None:
        return _("It was processed again from notification #%(number)s itself: take that one.") % {
            "number": row.replay_of
        }
    headers = {name.lower(): str(value) for name, value in (row.headers or {}).items()}
    signed = [headers.get(name, "") for name in SIGNED_HEADERS] if row.api_version == NotificationLog.Version.V3 else []
    reasons = {
        _("No body of it is kept."): not row.body,
        _("Its body was too long to be kept whole, so that the signature cannot be checked."): refusals.is_cut(row),
        _("It has not all of the headers that a signature is checked with."): not all(signed),
        _("A header was too long to be kept whole, so that the signature cannot be checked."): any(
            len(value) >= v3.MAX_KEPT_HEADER for value in signed
        ),
        _a_question(): QUESTIONS.get(row.event_type) == row.api_version,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def refused_since(moment: datetime, outcomes: Sequence[str] = MENDABLE) -> QuerySet[NotificationLog]:
    """What was refused since then and might be accepted after a mend, in the order in which it came."""
    rows = NotificationLog.objects.using(router.db_for_write(NotificationLog))
    found = rows.filter(outcome__in=outcomes, received_at__gte=moment, replay_of=None)
    return found.order_by("received_at", "pk")


def _a_question() -> str:
    return _("It is a question of WeChat's, and the answer would reach nobody.")


def _config(row: NotificationLog) -> MerchantConfig:
    """The merchant it was sent to, as configured now. Raises Misconfigured, or what the host's provider raises."""
    config = conf.merchant(row.merchant)
    if config is None or not config.takes("v2" if row.api_version == "v2" else "v3"):
        raise Misconfigured(
            _("No merchant %(alias)s is configured that takes API %(version)s.")
            % {"alias": ascii(row.merchant), "version": row.api_version}
        )
    return config


def _copy(row: NotificationLog) -> NotificationLog:
    """The request anew; what it says is read from its bytes again."""
    return NotificationLog(
        received_at=timezone.now(),
        api_version=row.api_version,
        merchant=row.merchant,
        remote_addr=row.remote_addr,
        headers=dict(row.headers or {}),
        body=bytes(row.body),
        replay_of=row.pk,
    )
