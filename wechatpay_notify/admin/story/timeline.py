"""Timeline: everything that happened to one order, newest first, each in a sentence.

Never shows what its reader may not view, nor more than fifty of a kind; a body only where it is small and recent.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Model
from django.db.models.functions import Length
from django.utils.translation import gettext as _

from wechatpay_notify import history
from wechatpay_notify.admin import panels
from wechatpay_notify.admin.cells import Cell, Panel
from wechatpay_notify.admin.disclosure import disarmed, moment, plain
from wechatpay_notify.admin.panels import MOST_ROWS, Links
from wechatpay_notify.admin.remarks import translated
from wechatpay_notify.doctor import diagnose
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery

from . import around, attempts, headline
from .explanation import Explanation, Text, listed, price, quoted, times
from .known import Known
from .wire import Pane, panes
from .words import explain

MOST_BODIES, LARGEST_BODY = 5, 16 * 1024
"""The newest deliveries whose body is shown here, if it has no more bytes; any is shown on its own page."""
SECOND = timedelta(seconds=1)
KINDS: tuple[type[Model], ...] = (NotificationLog, SignalDelivery, Refund, Discrepancy)
"""What an order's page tells of beside the order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened."""

    at: datetime
    badge: Cell
    text: Text
    next_step: Text = ""
    name: Cell | None = None
    """The row it is about, with a link to its page."""
    facts: str = ""
    """Figures, small and quiet."""
    notes: list[str] = field(default_factory=list)
    about: tuple[Cell, ...] = ()
    panes: list[Pane] = field(default_factory=list)
    """Blocks that are folded away."""

    @property
    def moment(self) -> str:
        return moment(self.at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What a page says first, and what it tells of in its order."""

    headline: Explanation
    hidden: str = ""
    """Which kinds of rows the reader may not view: what is not told is not to be taken for what is not there."""
    diagnosis: Panel | None = None
    """Of a refused notification: what the doctor found."""
    entries: list[Entry] = field(default_factory=list)
    more: Cell | None = None
    panes: list[Pane] = field(default_factory=list)
    """Of a notification: both sides of the wire."""


def of_order(order: Order, links: Links) -> Story:
    """The whole story of an order, disarmed already."""
    known, missing = around.of(order, links)
    logs = known.logs
    said = attempts.notes(logs, complete=not missing)
    entries = [
        *map(_deed, history.of(order)[-MOST_ROWS:]),
        *(_discrepancy_end(row, known) for row in known.discrepancies if row.resolved_at),
        *(_discrepancy(row, known) for row in known.discrepancies),
        *(_delivery(row, known) for row in known.deliveries),
        *(_refund(row, known) for row in known.refunds),
        *_milestones(order),
        *_notifications(logs, said, known),
    ]
    entries.sort(key=lambda entry: entry.at, reverse=True)
    more = None
    if missing:
        more = Cell(_("all notifications of this number"), links.search(NotificationLog, order.out_trade_no))
    return Story(headline=headline.of(order, known), hidden=_hidden(known), entries=entries, more=more)


def _hidden(known: Known) -> str:
    kinds = [str(kind._meta.verbose_name_plural) for kind in KINDS if not known.sees(kind)]
    return _("You may not view, and so are not shown: %(kinds)s.") % {"kinds": listed(kinds)} if kinds else ""


def of_notification(row: NotificationLog, links: Links) -> Story:
    """What one notification means, why it was refused, and both sides of the wire."""
    return Story(headline=explain(row, Known.about(row, links)), diagnosis=_diagnosis(row), panes=panes(row))


def _diagnosis(row: NotificationLog) -> Panel | None:
    """What the doctor found out about a refusal."""
    found = [[Cell(plain(str(one.cause))), Cell(plain(str(one.mend)))] for one in diagnose(row)]
    return Panel(title=_("Why it was refused"), columns=[_("cause"), _("what to do")], rows=found) if found else None


def _milestones(order: Order) -> list[Entry]:
    """What the order's own columns tell."""
    amount = price(order.amount, order.currency)
    found = []
    if order.paid_at:
        said = {"amount": amount, "transaction": quoted(order.transaction_id or "-")}
        text = {
            Order.ConfirmedBy.QUERY.value: _("Paid: %(amount)s, as WeChat answered when it was asked."),
            Order.ConfirmedBy.BILL.value: _("Paid: %(amount)s, as WeChat's bill says."),
        }.get(order.confirmed_by, _("Paid: %(amount)s, as WeChat's notification says."))
        facts = [_("WeChat transaction %(transaction)s") % said]
        # WeChat's clock has whole seconds: within one, what the shop did came first.
        closed = [order.closed_at] if order.closed_at and order.closed_at - order.paid_at < SECOND else []
        paid = max(order.paid_at, order.created_at, *closed)
        if order.closed_at and order.closed_at > paid:
            facts.append(_("reported after the order was closed"))
        found.append(Entry(at=paid, badge=Cell(_("paid"), tone="good"), text=text % said, facts=" · ".join(facts)))
    if order.closed_at:
        text = _("The shop closed the order: it was not to be paid any more.")
        found.append(Entry(at=order.closed_at, badge=Cell(_("closed"), tone="quiet"), text=text))
    text = _("The shop recorded the order, %(amount)s to be paid.") % {"amount": amount}
    return [*found, Entry(at=order.created_at, badge=Cell(_("recorded"), tone="quiet"), text=text)]


def _notifications(logs: list[NotificationLog], said: dict[int, list[str]], known: Known) -> list[Entry]:
    bodies, latest = _bodies([row.pk for row in logs[:MOST_BODIES]]), attempts.latest(logs)
    return [
        _notification(row, said.get(row.pk, []), bodies.get(row.pk, []), known, to_do=row.pk in latest) for row in logs
    ]


def _notification(row: NotificationLog, notes: list[str], sides: list[Pane], known: Known, *, to_do: bool) -> Entry:
    """`to_do`: whether it is the last of its notification, so that what to do about it is of any use."""
    told = explain(row, known)
    own = {known.link(one) for one in (known.orders[0], *known.refunds)}  # this page, and what has an entry of its own
    facts = [panels.event(row)]
    if row.attempt_estimate:
        facts.append(_("attempt %(number)d of %(of)d") % {"number": row.attempt_estimate, "of": attempts.LAST})
    if row.http_status is not None and row.replay_of is None:
        facts.append(panels.answer(row))
    if row.duration_ms is not None:
        facts.append(_("%(count)d ms") % {"count": row.duration_ms})
    if not row.verified:
        facts.append(_("not proven to be WeChat's"))
    return Entry(
        at=row.received_at,
        badge=Cell(panels.outcome_label(row), tone=panels.outcome_tone(row)),
        text=told.meaning,
        next_step=told.next_step if to_do and told.tone in ("bad", "warn") else "",
        name=Cell(_("notification #%(number)d") % {"number": row.pk}, known.link(row)),
        facts=" · ".join(facts),
        notes=notes,
        about=tuple(cell for cell in told.about if cell.url and cell.url not in own),
        panes=sides,
    )


def _bodies(pks: list[int]) -> dict[int, list[Pane]]:
    if not pks:
        return {}
    rows = NotificationLog.objects.filter(pk__in=pks).annotate(size=Length("body")).filter(size__lte=LARGEST_BODY)
    return {row.pk: panes(disarmed(row)) for row in rows}


def _delivery(row: SignalDelivery, known: Known) -> Entry:
    pending = row.status == SignalDelivery.Status.PENDING
    said = {
        "receiver": quoted(row.receiver) or _("no receiver"),
        "what": _subjects().get(row.signal, row.signal),
        "times": times(row.attempts),
        "error": quoted(panels.last_line(row.last_error)) or "-",
        "next": attempts.next_try(row, known.logs)[1] if pending else "",
    }
    if row.status == SignalDelivery.Status.DONE:
        text = _("%(receiver)s was told of %(what)s and did its part.")
    elif panels.called_off(row):
        text = _("%(receiver)s is not told of %(what)s any more: all of it was refunded before.")
    elif not pending:
        text = _("%(receiver)s failed %(times)s at %(what)s and is not tried again: %(error)s.")
    elif not row.receiver:
        text = _("Nobody was told of %(what)s: no receiver is connected.")
    elif row.attempts:
        text = _("%(receiver)s failed %(times)s at %(what)s: %(error)s. Next attempt %(next)s.")
    else:
        text = _("%(receiver)s is still to be told of %(what)s: %(next)s.")
    facts = [_("tried %(times)s") % said] if row.attempts else []
    if row.duration_ms is not None:
        facts.append(_("%(count)d ms") % {"count": row.duration_ms})
    traceback = (
        [Pane(_("Traceback"), [Panel(title=_("Last error"), text=translated(row.last_error))])]
        if row.last_error
        else []
    )
    return Entry(
        at=row.done_at or row.created_at,
        badge=Cell(panels.delivery_mark(row), tone=panels.delivery_tone(row)),
        text=text % said,
        name=Cell(_("delivery #%(number)d") % {"number": row.pk}, known.link(row)),
        facts=" · ".join(facts),
        panes=[] if panels.called_off(row) else traceback,
    )


def _subjects() -> dict[str, str]:
    return {
        "payment_confirmed": _("the payment"),
        "payment_failed": _("the failed payment"),
        "payment_unexpected": _("the unexpected payment"),
        "refund_confirmed": _("the refund"),
        "refund_abnormal": _("the abnormal refund"),
        "refund_closed": _("the closed refund"),
        "notification_received": _("the notification"),
    }


def _refund(row: Refund, known: Known) -> Entry:
    text = {
        Refund.Status.PROCESSING.value: _("Refund of %(amount)s: WeChat is paying it back."),
        Refund.Status.SUCCESS.value: _("Refund of %(amount)s: the money is back with the customer."),
        Refund.Status.ABNORMAL.value: _("Refund of %(amount)s: the bank did not take the money; somebody must act."),
        Refund.Status.CLOSED.value: _("Refund of %(amount)s: closed, the money stayed with the shop."),
    }[row.status]
    return Entry(
        at=row.updated_at,
        badge=Cell(row.get_status_display(), tone=panels.refund_tone(row)),
        text=text % {"amount": price(row.amount, row.order.currency)},
        name=Cell(_("refund %(number)s") % {"number": quoted(row.out_refund_no)}, known.link(row)),
    )


def _discrepancy(row: Discrepancy, known: Known) -> Entry:
    said = {"amount": price(row.amount, row.currency), "reason": row.get_reason_display(), "times": times(row.times)}
    text = _("WeChat reported %(amount)s that the record does not bear out: %(reason)s.")
    return Entry(
        at=row.first_seen,
        badge=Cell(*panels.discrepancy_state(row)),
        text=text % said,
        name=Cell(_("discrepancy #%(number)d") % {"number": row.pk}, known.link(row)),
        facts=_("seen %(times)s") % said,
    )


def _discrepancy_end(row: Discrepancy, known: Known) -> Entry:
    said = {
        "by": quoted(row.resolved_by),
        "reason": quoted(translated(row.resolution)) or "-",
        "what": row.get_reason_display(),
    }
    if row.resolved_by:
        text = _("%(by)s resolved the discrepancy (%(what)s): %(reason)s")
    else:
        text = _("The discrepancy (%(what)s) resolved itself: %(reason)s")
    return Entry(
        at=row.resolved_at or row.last_seen,
        badge=Cell(_("resolved"), tone="good"),
        text=text % said,
        name=Cell(_("discrepancy #%(number)d") % {"number": row.pk}, known.link(row)),
    )


def _deed(deed: history.Entry) -> Entry:
    """What a person did, and why."""
    said = {"by": quoted(deed.by), "message": quoted(deed.message)}
    return Entry(at=deed.at, badge=Cell(_("by hand"), tone="quiet"), text=_("%(by)s: %(message)s") % said)
