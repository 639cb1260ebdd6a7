"""Words: for each outcome what it means in this very case, with the case's own facts, and what to do next.

Never names what the reader may not view: where a fact cannot be had, the outcome's own hint stands in.
"""

from collections.abc import Mapping
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from wechatpay_notify.admin.cells import Cell
from wechatpay_notify.admin.panels import last_line, outcome_label, outcome_tone
from wechatpay_notify.delivery import names
from wechatpay_notify.events import meaning as event_meaning
from wechatpay_notify.models import NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES

from . import disputed, refused
from .attempts import next_try
from .explanation import Explanation, Text, clock, listed, price, quoted, times
from .known import Known

PROCESSING = timedelta(seconds=60)
"""Longer than any notification is worked on: WeChat waits five seconds."""
V2_REFUNDS = {"SUCCESS": Refund.Status.SUCCESS, "CHANGE": Refund.Status.ABNORMAL, "REFUNDCLOSE": Refund.Status.CLOSED}


def explain(row: NotificationLog, known: Known | None = None) -> Explanation:
    """What became of this notification and what to do; `known` is what its reader may see around it."""
    known = known or Known()
    tell = WORDS.get(row.outcome) if row.outcome or row.http_status is not None else interrupted
    told = tell(row, known) if tell else None
    hint: Text = OUTCOMES[row.outcome].hint if row.outcome in OUTCOMES else ""
    if told is None:
        told = Explanation(hint or _("Nothing is known of this outcome here."), "", outcome_tone(row))
    elif not told.next_step and hint:
        told = Explanation(told.meaning, hint, told.tone, told.about)
    if row.replay_of is None:
        return told
    again = _("Processed again here from the stored bytes of #%(number)d, not sent by WeChat.")
    meaning = f"{again % {'number': row.replay_of}} {told.meaning}"
    return Explanation(meaning, told.next_step, told.tone, told.about)


def confirmed(row: NotificationLog, known: Known) -> Explanation | None:
    order = known.order(row)
    if order is None:
        return None
    said = {"amount": price(order.amount, order.currency), "number": quoted(order.out_trade_no)}
    meaning = _("The customer's %(amount)s for order %(number)s arrived, and the order is paid.") % said
    return Explanation(meaning, *_receivers(row, known), about=(Cell(said["number"], known.link(order)),))


def _receivers(row: NotificationLog, known: Known) -> tuple[str, str]:
    """What is left to do by receivers, and how good that is."""
    if not known.sees(SignalDelivery):
        return "", "good"
    if known.given_up():
        return _("A receiver was given up: %(failures)s") % {"failures": failures(known.given_up(), row, known)}, "bad"
    if known.unfinished():
        return _("Receivers still to run: %(failures)s") % {
            "failures": failures(known.unfinished(), row, known)
        }, "warn"
    return _("Every receiver has run. Nothing to do."), "good"


def failures(rows: list[SignalDelivery], log: NotificationLog, known: Known) -> str:
    """Which receivers, why and when next."""
    return " ".join(_failure(row, known.logs or [log]) for row in rows[:3])


def _failure(row: SignalDelivery, logs: list[NotificationLog]) -> str:
    said = {
        "receiver": quoted(row.receiver),
        "times": times(row.attempts),
        "error": quoted(last_line(row.last_error)) or "-",
        "next": next_try(row, logs)[1],
    }
    if not row.receiver:
        return _("no receiver is connected.")
    if row.status == SignalDelivery.Status.GAVE_UP:
        return _("%(receiver)s failed %(times)s and is not tried again: %(error)s.") % said
    if not row.attempts:
        return _("%(receiver)s has not been tried yet; it is tried %(next)s.") % said
    return _("%(receiver)s failed %(times)s, last with %(error)s; it is tried next %(next)s.") % said


def receiver_failed(row: NotificationLog, known: Known) -> Explanation | None:
    if not known.deliveries:
        return None
    if known.given_up() or known.unfinished():
        said = {"failures": failures(known.given_up() + known.unfinished(), row, known)}
        step = _(
            "A developer mends the receiver; the traceback is at the delivery. Only what failed runs again: at "
            "WeChat's next attempt, or when it is delivered again here."
        )
        return Explanation(_("It is recorded, but a receiver failed: %(failures)s") % said, step, "bad")
    meaning = _("It is recorded. A receiver failed then; since then every receiver has run.")
    return Explanation(meaning, _("Nothing to do."), "quiet")


def no_receiver(row: NotificationLog, known: Known) -> Explanation | None:
    if row.detail.startswith("a question"):
        meaning = _("WeChat asked a question that nobody answers: %(event)s.")
        step = _('Name a callable for its event type in WECHATPAY_NOTIFY["ANSWERS"]. WeChat asks again.')
        return Explanation(meaning % {"event": quoted(event_meaning(row.event_type) or row.event_type)}, step, "bad")
    connected = names("payment_confirmed")
    if not connected:
        meaning = _("The payment is recorded, but no receiver is connected to payment_confirmed: nobody was told.")
        step = _("Connect one and import its module in your AppConfig.ready(); WeChat's next attempt then runs it.")
        return Explanation(meaning, step, "bad")
    said = {"receivers": listed(map(quoted, connected[:5]))}
    meaning = _("The payment is recorded; no receiver was connected then. Connected by now: %(receivers)s.") % said
    waiting = known.unfinished() or not known.deliveries
    step = _("WeChat's next attempt or wechatpay_deliver tells them.") if waiting else _("Nothing to do.")
    return Explanation(meaning, step, "warn" if waiting else "quiet")


def busy(row: NotificationLog, known: Known) -> Explanation | None:
    if row.out_refund_no:
        meaning = _("Refund %(number)s is recorded, but its payment had not been reported, so nobody was told of it.")
        step = _("WeChat sends both again. If the payment is not reported within a day, query it.")
        return Explanation(meaning % {"number": quoted(row.out_refund_no)}, step, "quiet")
    meaning = _("A receiver was still running for this in another request, so WeChat was asked to come again.")
    return Explanation(meaning, _("Nothing to do: its next attempt finds it done."), "quiet")


def duplicate(row: NotificationLog, known: Known) -> Explanation | None:
    before = [one for one in known.logs if one.received_at <= row.received_at and one.pk != row.pk]
    before = [one for one in before if one.out_refund_no == row.out_refund_no and one.outcome not in ("", "duplicate")]
    if not before:
        return None
    first = min(before, key=lambda one: (one.received_at, one.pk))
    said = {"number": first.pk, "moment": clock(first.received_at, row.received_at), "outcome": outcome_label(first)}
    meaning = _("The same as #%(number)d, which came at %(moment)s (%(outcome)s); nothing is done twice.") % said
    return Explanation(meaning, _("Nothing to do."), "quiet", (Cell(f"#{first.pk}", known.link(first)),))


def payment_failed(row: NotificationLog, known: Known) -> Explanation | None:
    state = row.detail.rpartition(" ")[2].strip("'") if "trade_state" in row.detail else ""
    meaning = _("WeChat says that this payment failed (%(state)s). No money came.") % {"state": quoted(state) or "-"}
    order = known.order(row)
    if order is not None and order.status == Order.Status.PAID:
        return Explanation(meaning, _("The order was paid otherwise since. Nothing to do."), "quiet")
    return Explanation(meaning, _("The order waits on: the customer may pay again."), "warn")


def refunded(row: NotificationLog, known: Known) -> Explanation | None:
    found = next((one for one in known.refunds if one.out_refund_no == row.out_refund_no), None)
    if found is None:
        return None
    reported = _reported(row) or found.status
    said = {
        "number": quoted(found.out_refund_no),
        "amount": price(found.amount, found.order.currency),
        "state": str(Refund.Status(reported).label),
        "now": str(found.get_status_display()),
    }
    meaning = _("Refund %(number)s of %(amount)s: %(state)s.")
    if reported != found.status:
        meaning = _("Refund %(number)s of %(amount)s: %(state)s then, %(now)s by now.")
    meaning = meaning % said
    abnormal = found.status == Refund.Status.ABNORMAL
    step = _("Somebody must act: the bank did not take the money. The refund's page says how.") if abnormal else ""
    step = step or _("Nothing to do.")
    return Explanation(meaning, step, "bad" if abnormal else "quiet", (Cell(said["number"], known.link(found)),))


def _reported(row: NotificationLog) -> str:
    """The status that this notification told of, "" if it cannot be had: the refund may have gone on since."""
    if row.api_version == NotificationLog.Version.V2:
        fields = row.resource if isinstance(row.resource, Mapping) else {}
        return V2_REFUNDS.get(str(fields.get("refund_status")), "")
    status = row.event_type.rpartition(".")[2]
    return status if status in Refund.Status else ""


def received(row: NotificationLog, known: Known) -> Explanation | None:
    what = event_meaning(row.event_type) or row.event_type or _("a notice without money")
    detail = f" ({quoted(row.detail)})" if row.detail else ""
    meaning = _("Genuine, and nothing to confirm: %(event)s%(detail)s.") % {"event": quoted(what), "detail": detail}
    return Explanation(meaning, _("Nothing to do: receivers of notification_received were told."), "quiet")


def unavailable(row: NotificationLog, known: Known) -> Explanation | None:
    meaning = _("The database or a callable of the shop's failed: %(detail)s. Nothing was confirmed by this attempt.")
    step = _("A developer mends what failed; the log has the traceback. WeChat sends again, or process this one again.")
    return Explanation(meaning % {"detail": quoted(row.detail) or "-"}, step, "warn")


def error(row: NotificationLog, known: Known) -> Explanation | None:
    meaning = _("This package failed by a bug of its own: %(detail)s.") % {"detail": quoted(row.detail) or "-"}
    return Explanation(
        meaning, _("Please report it, with the traceback that is in the log. WeChat sends again."), "bad"
    )


def interrupted(row: NotificationLog, known: Known) -> Explanation:
    later = [one for one in known.logs if one.received_at > row.received_at and one.outcome]
    if later:
        went_on = min(later, key=lambda one: one.received_at)
        said = {
            "number": went_on.pk,
            "moment": clock(went_on.received_at, row.received_at),
            "to": outcome_label(went_on),
        }
        meaning = _(
            "The process was stopped before it answered; #%(number)d at %(moment)s went on from there (%(to)s)."
        )
        about = (Cell(f"#{went_on.pk}", known.link(went_on)),)
        return Explanation(meaning % said, _("Nothing to do."), "quiet", about)
    if timezone.now() - row.received_at < PROCESSING:
        return Explanation(_("It is being processed at this moment."), _("Load this page again in a minute."), "warn")
    meaning = _("The process was stopped before it could answer. What was recorded stays recorded.")
    return Explanation(meaning, _("WeChat's next attempt goes on from there; or process this one again."), "warn")


WORDS: dict[str, refused.Words] = (
    refused.WORDS
    | disputed.WORDS
    | {
        "confirmed": confirmed,
        "duplicate": duplicate,
        "refunded": refunded,
        "received": received,
        "payment_failed": payment_failed,
        "receiver_failed": receiver_failed,
        "no_receiver": no_receiver,
        "busy": busy,
        "unavailable": unavailable,
        "error": error,
    }
)
