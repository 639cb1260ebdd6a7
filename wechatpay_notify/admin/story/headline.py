"""Headline: how an order stands in one sentence, and what to do next in another.

Never says more than the reader may view, and never more certainty than the record has.
"""

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from wechatpay_notify.admin.cells import Cell
from wechatpay_notify.admin.disclosure import moment
from wechatpay_notify.admin.panels import last_line
from wechatpay_notify.admin.remarks import translated
from wechatpay_notify.delivery import names
from wechatpay_notify.judgement import HEALED_BY_CONFIRMATION
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery
from wechatpay_notify.outcomes import is_acknowledged

from . import attempts
from .disputed import unfulfilled
from .explanation import Explanation, clock, price, quoted, span, times
from .known import Known
from .words import explain

Reason = Discrepancy.Reason
UNFULFILLED = (Reason.ORDER_CLOSED, Reason.ALREADY_PAID, Reason.ALREADY_REFUNDED)
"""Reasons for which an order becomes paid and is not to be fulfilled."""
DONE = SignalDelivery.Status.DONE


def of(order: Order, known: Known) -> Explanation:
    """The summary of an order's page."""
    open_ones = [row for row in known.discrepancies if row.resolved_at is None]
    if order.status == Order.Status.PAID:
        return _paid(order, open_ones, known)
    return _reported(order, open_ones, known) or _unpaid(order, known)


def _paid(order: Order, open_ones: list[Discrepancy], known: Known) -> Explanation:
    said = {
        "moment": moment(order.paid_at),
        "amount": price(order.amount, order.currency),
        "refunded": price(order.refunded_amount, order.currency),
    }
    disputed = next((row for row in open_ones if row.reason not in HEALED_BY_CONFIRMATION), None)
    if disputed is not None and disputed.reason != Reason.REFUND_CONFLICT:
        told = unfulfilled(disputed, order, known)
        about = (*told.about, Cell(_("the discrepancy"), known.link(disputed)))
        return Explanation(told.meaning, told.next_step, "bad", about)
    if order.refunded_amount >= order.amount:
        meaning = _("Paid on %(moment)s, %(amount)s, and all of it was refunded or is being refunded.")
        return Explanation(meaning % said, _("Do not ship any more."), "quiet")
    trouble = _withheld(order, said, known) or _trouble(known)
    if trouble is not None:
        return trouble
    if disputed is not None:
        meaning = _("Paid on %(moment)s, %(amount)s; but WeChat reports a refund that contradicts the record.")
        step = _("Compare it with the refunds on the merchant platform before anything more is paid back.")
        return Explanation(meaning % said, step, "bad", (Cell(_("the discrepancy"), known.link(disputed)),))
    ran = any(row.signal == "payment_confirmed" and row.status == DONE for row in known.deliveries)
    meaning = _("Paid on %(moment)s, %(amount)s.")
    if ran:
        meaning = _("Paid on %(moment)s, %(amount)s; every receiver has run.")
    step = _("Nothing to do here: if the customer still got nothing, look at what the receivers started.")
    if order.refunded_amount:
        refunded = _("Refunded of it: %(refunded)s.")  # out of the f-string, where xgettext would not find it
        meaning, step = f"{meaning} {refunded}", _("Nothing to do.")
    return Explanation(meaning % said, step if ran else "", "good")


def _withheld(order: Order, said: dict[str, str], known: Known) -> Explanation | None:
    """Money that no receiver of payment_confirmed was told of: it stays so when somebody has dealt with it."""
    step = _("Do not ship, unless that is what was agreed.")
    own = [row for row in known.discrepancies if row.transaction_id == order.transaction_id]
    found = next((row for row in own if row.reason in UNFULFILLED), None)
    if found is not None:
        told = unfulfilled(found, order, known)
        facts = {"by": quoted(found.resolved_by), "reason": quoted(translated(found.resolution)) or "-"}
        dealt = _("%(by)s has dealt with it: %(reason)s.") if found.resolved_by else _("It is resolved: %(reason)s.")
        about = (*told.about, Cell(_("the discrepancy"), known.link(found)))
        return Explanation(f"{told.meaning} {dealt % facts}", step, "quiet", about)
    if order.closed_at:
        return Explanation(
            _("Paid on %(moment)s, %(amount)s, but the order was closed before it arrived.") % said, step, "warn"
        )
    if order.reference and order.settled_reference is None:
        meaning = _("Paid on %(moment)s, %(amount)s, but another order had paid for the same already.")
        return Explanation(meaning % said, step, "warn")
    return None


def _trouble(known: Known) -> Explanation | None:
    """A receiver that has not done its part."""
    for row in known.given_up():
        said = _failure(row)
        meaning = _("Paid, but %(receiver)s has failed %(times)s and is not tried again: %(error)s.")
        step = _("A developer mends the receiver; then deliver it again.")
        return Explanation(meaning % said, step, "bad", (Cell(_("the delivery"), known.link(row)),))
    waiting = sorted(known.unfinished(), key=lambda row: (not row.attempts, row.pk))
    if not waiting:
        return None
    row, said = waiting[0], _failure(waiting[0])
    about = (Cell(_("the delivery"), known.link(row)),)
    if not row.receiver and not names(row.signal):
        meaning = _("Paid, but nobody was told: no receiver is connected.")
        step = _("A developer connects one to payment_confirmed; WeChat's next attempt or wechatpay_deliver runs it.")
        return Explanation(meaning, step, "bad", about)
    if row.done_at is not None:
        said["moment"] = moment(row.done_at)
        meaning = _("Paid, and %(receiver)s ran on %(moment)s; run once more by hand it failed: %(error)s.")
        step = _("What it does was done before: do nothing by hand that it has done already.")
        return Explanation(meaning % said, step, "warn", about)
    if not row.attempts:
        count = len(waiting)
        meaning = ngettext(
            "Paid; %(count)d receiver is still to run.", "Paid; %(count)d receivers are still to run.", count
        )
        step = _("Wait a minute. If it stays so, see whether wechatpay_deliver runs.")
        return Explanation(meaning % {"count": count}, step, "warn", about)
    said["next"] = _next(row, known)
    meaning = _("Paid, but %(receiver)s has failed %(times)s: %(error)s; next attempt %(next)s.")
    step = _("The customer has paid: do it by hand if it is urgent. A developer finds the traceback below.")
    return Explanation(meaning % said, step, "bad", about)


def _failure(row: SignalDelivery) -> dict[str, str]:
    return {
        "receiver": quoted(row.receiver),
        "times": times(row.attempts),
        "error": quoted(last_line(row.last_error)) or "-",
    }


def _next(row: SignalDelivery, known: Known) -> str:
    due, said = attempts.next_try(row, known.logs)
    return _("in %(span)s, %(when)s") % {"span": span(due - timezone.now()), "when": said} if due else said


def _reported(order: Order, open_ones: list[Discrepancy], known: Known) -> Explanation | None:
    """Money that WeChat reported and that does not fit, the newest first."""
    found = next((row for row in open_ones if row.reason in HEALED_BY_CONFIRMATION), None)
    if found is None:
        return None
    said = {
        "paid": price(found.amount, found.currency),
        "ordered": price(order.amount, order.currency),
        "transaction": quoted(found.transaction_id),
    }
    about = (Cell(_("the discrepancy"), known.link(found)),)
    fits = (found.amount, found.currency) == (order.amount, order.currency)
    if found.reason == Reason.CONFLICT:
        meaning = _("WeChat reported %(paid)s, but by transaction %(transaction)s, which paid another order.")
        step = _("Find out on the merchant platform which order it paid, before anything is shipped or refunded.")
    elif fits:
        meaning = _("WeChat reported %(paid)s before the order said so; it is not confirmed yet.")
        step = _("Its next attempt confirms it; or process the notification again.")
        return Explanation(meaning % said, step, "warn", about)
    else:
        meaning = _("WeChat reported %(paid)s but the order says %(ordered)s.")
        step = _("If the order is recorded wrongly, correct it and the next attempt confirms it; if not, refund it.")
    return Explanation(meaning % said, step, "bad", about)


def _unpaid(order: Order, known: Known) -> Explanation:
    if not known.sees(NotificationLog):
        return Explanation(_("No payment is recorded for this order."), _ask(), "warn")
    came = [row for row in known.logs if row.verified or row.outcome in ("unavailable", "error")]
    last = next((row for row in came if not row.out_refund_no), None)
    if last is not None and (last.outcome == "payment_failed" or not is_acknowledged(last.outcome)):
        told = explain(last, known)
        about = (Cell(_("notification #%(number)d") % {"number": last.pk}, known.link(last)), *told.about)
        return Explanation(told.meaning, told.next_step, told.tone if told.tone != "quiet" else "warn", about)
    claimed = next((row for row in known.logs if not row.verified and row.outcome != "probe"), None)
    if claimed is not None:
        told = explain(claimed, known)
        meaning = _("WeChat has reported no payment that is proven; what claims this order was refused. %(meaning)s")
        about = (Cell(_("notification #%(number)d") % {"number": claimed.pk}, known.link(claimed)),)
        return Explanation(meaning % {"meaning": told.meaning}, told.next_step, "warn", about)
    if order.status == Order.Status.CLOSED:
        said = {"moment": clock(order.closed_at) if order.closed_at else "-"}
        meaning = _("The shop closed this order (%(moment)s); WeChat has reported no payment for it.")
        return Explanation(meaning % said, _ask(), "quiet")
    return Explanation(_("WeChat has reported no payment for this order."), _ask(), "warn")


def _ask() -> str:
    return _(
        "Ask the customer for the transaction number in WeChat (Me, Services, Wallet, Bills), search for it here or "
        "on the merchant platform. Was the money taken there, have the payment queried: it is then confirmed here. "
        "If others say the same, look whether the list of notifications has refusals."
    )
