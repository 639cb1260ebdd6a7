"""Words for money that the shop's record does not bear out: unknown orders, other amounts, money for nothing.

Never decides what becomes of it; a person does.
"""

from django.utils.translation import gettext as _

from wechatpay_notify.admin.cells import Cell
from wechatpay_notify.conf import conf
from wechatpay_notify.models import Discrepancy, NotificationLog, Order

from .explanation import Explanation, clock, price, quoted
from .known import Known
from .refused import Words

Reason = Discrepancy.Reason


def unknown_order(row: NotificationLog, known: Known) -> Explanation | None:
    if not known.sees(Order):
        return None
    config, order = known.config(row.merchant), known.order(row)
    said = {
        "number": quoted(row.out_trade_no),
        "merchant": quoted(row.merchant),
        "mchid": config.merchant.mchid if config else "-",
        "other": "",
    }
    if order is not None and (config is None or order.mchid == config.merchant.mchid):
        said["moment"] = clock(order.created_at, row.received_at)
        meaning = _("Order %(number)s was not recorded yet when WeChat reported its payment; it was, at %(moment)s.")
        step = _(
            "Nothing to do if it is paid by now; else WeChat's next attempt confirms it, or process this one again."
        )
        return Explanation(meaning % said, step, "quiet", (Cell(said["number"], known.link(order)),))
    meaning = _(
        "WeChat reports a payment for order %(number)s, which merchant %(merchant)s (%(mchid)s) has not recorded."
    )
    if order is None:
        return Explanation(meaning % said, _resolver_step(), "warn")
    said["other"] = quoted(order.mchid)
    also = _("An order of that number is recorded for another merchant, %(other)s: was it placed with the wrong one?")
    about = (Cell(quoted(order.out_trade_no), known.link(order)),)
    return Explanation(f"{meaning % said} {also % said}", _resolver_step(), "warn", about)


def _resolver_step() -> str:
    if conf.ORDER_RESOLVER:
        return _(
            "ORDER_RESOLVER knew none either. Record the order, and WeChat's next attempt confirms it; else refund."
        )
    return _(
        "Record it with Order.objects.expect() before the customer pays, or set ORDER_RESOLVER. If you record it now, "
        "WeChat's next attempt within 24 hours confirms it."
    )


def amount_mismatch(row: NotificationLog, known: Known) -> Explanation | None:
    found = known.discrepancy(row, Reason.AMOUNT_MISMATCH)
    if found is None or found.expected_amount is None:
        return None
    order = next((one for one in known.orders if one.pk == found.order_id), None)
    currency = order.currency if order else found.currency
    said = {
        "paid": price(found.amount, found.currency),
        "ordered": price(found.expected_amount, currency),
        "number": quoted(found.out_trade_no),
        "difference": price(found.amount - found.expected_amount, found.currency),
    }
    meaning = _("WeChat reported %(paid)s for order %(number)s but the order said %(ordered)s.")
    if currency == found.currency:
        meaning += " " + _("The difference is %(difference)s.")
    if found.resolved_at is not None:
        return Explanation(meaning % said, _("It is resolved since. Nothing to do."), "quiet")
    if order and (order.amount, order.currency) == (found.amount, found.currency):
        step = _("By now the order says the same: WeChat's next attempt confirms it, or process this one again.")
        return Explanation(meaning % said, step, "warn")
    step = _(
        "If the order is recorded wrongly, correct it and the next attempt confirms it; if not, refund the payment."
    )
    return Explanation(meaning % said, step, "bad", (Cell(said["number"], known.link(found)),))


def conflict(row: NotificationLog, known: Known) -> Explanation | None:
    order = known.order(row)
    if row.out_refund_no:
        meaning = _("Refund %(number)s contradicts the record and was not recorded: %(detail)s.")
        said = {"number": quoted(row.out_refund_no), "detail": quoted(row.detail)}
        step = _("Compare it with the refunds on the merchant platform before anything more is paid back.")
        return Explanation(meaning % said, step, "bad")
    holder = known.holder(row, order)
    if holder is None:
        return None
    said = {"transaction": quoted(row.transaction_id), "number": quoted(holder.out_trade_no)}
    meaning = _("WeChat's transaction %(transaction)s already paid another order, %(number)s.") % said
    step = _("Find out on the merchant platform which of the two it paid, before you ship or refund.")
    return Explanation(meaning, step, "bad", (Cell(said["number"], known.link(holder)),))


def unexpected(row: NotificationLog, known: Known) -> Explanation | None:
    found = known.discrepancy(row, Reason.ORDER_CLOSED, Reason.ALREADY_PAID, Reason.ALREADY_REFUNDED)
    if found is None:
        return None
    return unfulfilled(found, next((one for one in known.orders if one.pk == found.order_id), None), known)


def unfulfilled(found: Discrepancy, order: Order | None, known: Known) -> Explanation:
    """Money that arrived for an order and must not be fulfilled: why, and what to do."""
    said = {
        "amount": price(found.amount, found.currency),
        "number": quoted(found.out_trade_no),
        "transaction": quoted(found.transaction_id),
    }
    about: tuple[Cell, ...] = ()
    if found.reason == Reason.ALREADY_REFUNDED:
        said["refunded"] = price(order.refunded_amount, order.currency) if order else "-"
        meaning = _("%(amount)s arrived for order %(number)s after all of it was refunded (%(refunded)s).")
        step = _("Do not ship. Nothing is owed, unless that refund is closed later.")
    elif found.reason == Reason.ORDER_CLOSED:
        closed = order.closed_at if order else None
        said["moment"] = clock(closed, found.first_seen) if closed else "-"
        meaning = _("%(amount)s arrived for order %(number)s after it was closed (%(moment)s).")
        step = _("Do not ship unasked: refund it on the merchant platform, or agree with the customer.")
    else:
        meaning, step = (
            _("%(amount)s arrived for order %(number)s, which was already paid."),
            _("The customer paid twice: ship once, and refund %(amount)s of transaction %(transaction)s."),
        )
        sibling = None if order is None else known.sibling(order)
        if order is not None and order.transaction_id != found.transaction_id:
            said["other"] = quoted(order.transaction_id or "-")
            meaning = _("%(amount)s arrived for order %(number)s, already paid by transaction %(other)s.")
        elif sibling is not None:
            said["other"] = quoted(sibling.out_trade_no)
            meaning = _("%(amount)s arrived for order %(number)s; order %(other)s had paid for the same already.")
            about = (Cell(said["other"], known.link(sibling)),)
    if found.resolved_at is not None:
        return Explanation(meaning % said, _("It is resolved since. Nothing to do."), "quiet", about)
    return Explanation(meaning % said, step % said, "bad", about)


WORDS: dict[str, Words] = {
    "unknown_order": unknown_order,
    "amount_mismatch": amount_mismatch,
    "conflict": conflict,
    "unexpected": unexpected,
}
