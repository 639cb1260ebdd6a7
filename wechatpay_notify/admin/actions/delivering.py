"""Delivering: run the receivers again that failed, or, with a permission of its own, those that were done.

Never runs what was called off because the money went back.
"""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from wechatpay_notify import history
from wechatpay_notify.admin.cells import Cell
from wechatpay_notify.admin.disclosure import disarmed, plain
from wechatpay_notify.admin.panels import Links, called_off, delivery_mark, delivery_tone, last_line
from wechatpay_notify.delivery.again import deliver_again, eligible
from wechatpay_notify.delivery.outbox import names, receiver, sequence
from wechatpay_notify.models import SignalDelivery

from .deed import MOST_LISTED, Deed, Ended, Errand, Plan, counted_orders, joined, listed, not_done, sentence, table

WORST_FIRST = ("gave_up", "failed", "waiting", "done", "gone")
TO_LOOK_AT = frozenset(WORST_FIRST[:3])


class Deliver(Deed):
    """What failed, once more."""

    name = "deliver"
    permission = "deliver"
    label = gettext_lazy("Deliver again what failed")
    explanation = gettext_lazy(
        "Each receiver that has not succeeded yet is called once more, now, in this process. What is done stays done."
    )
    words = {
        "done": gettext_lazy("done"),
        "failed": gettext_lazy("failed again"),
        "waiting": gettext_lazy("must wait: for its payment, or for a receiver that is not connected here"),
        "gave_up": gettext_lazy("failed again and was given up"),
        "gone": gettext_lazy("not necessary any more, or in hand elsewhere"),
        "skipped": gettext_lazy("skipped: changed since you confirmed"),
    }
    passed_over = frozenset({"skipped", "gone"})
    looks_at = SignalDelivery
    read_with = ("order",)
    force = False

    def offered(self, row: SignalDelivery) -> bool:
        return row.status != SignalDelivery.Status.DONE and not called_off(row)

    def deliveries(self, pks: list[int]) -> QuerySet[SignalDelivery]:
        return SignalDelivery.objects.filter(pk__in=pks)

    def plan(self, pks: list[int], links: Links) -> Plan:
        chosen = self.deliveries(pks)
        doing = set(eligible(chosen, force=self.force).values_list("pk", flat=True))
        rows = sorted(chosen.select_related("order").defer("payload"), key=sequence)
        run = [row for row in rows if row.pk in doing and _callable(row)]
        will = {row.pk for row in run}
        receivers = Counter((plain(name), plain(row.signal)) for row in run for name in _callable(row))
        orders = {row.order_id for row in run} - {None}
        count = ngettext("%(count)d delivery", "%(count)d deliveries", len(run)) % {"count": len(run)}
        sentences = [sentence(count, counted_orders(len(orders)))]
        if run:
            told = {"names": joined(name for name, _signal in receivers)}
            sentences.append(_("These receivers will run: %(names)s.") % told)
        panels = [
            *table(_("What will run"), [_("receiver"), _("signal")], receivers),
            *not_done(Counter((self.why_not(row),) for row in rows if row.pk not in will)),
        ]
        if links.may_view(SignalDelivery):
            cells = [_cells(row, links) for row in run[:MOST_LISTED]]
            panels += listed(_("The deliveries"), _columns(), cells, len(run))
        return Plan([row.pk for row in run], sentences, panels)

    def failure(self, row: SignalDelivery) -> tuple[str, str]:
        number = plain(row.order.out_trade_no) if row.order else ""
        name = " · ".join(part for part in (number, row.receiver or _("no receiver")) if part)
        return name, last_line(row.last_error)

    def why_not(self, row: SignalDelivery) -> str:
        if called_off(row):
            return _("called off: all of the payment was refunded")
        if row.status == SignalDelivery.Status.DONE:
            return _("it is done already")
        if not _callable(row):
            return _("its receiver is not connected")
        return _("it is not due for this")

    def do(self, pk: int, errand: Errand) -> Ended:
        # Done since the confirmation page was made: it was sent twice, or somebody else was faster.
        before = datetime.fromtimestamp(errand.at, UTC)
        rows = SignalDelivery.objects.filter(pk=pk).exclude(done_at__gt=before)
        row = eligible(rows, force=self.force).select_related("order").defer("payload").first()
        if row is None:
            return Ended("skipped")
        about = history.about(row)
        if self.force:  # what it does outside of the database may be all that is left of it
            history.record(errand.user, about, errand.noted(_("%(deed)s: begun.") % {"deed": self.label}))
        # Several where a placeholder stood for several receivers.
        endings = deliver_again([pk], force=self.force, unless_done_since=before)
        ended = next((ending for ending in WORST_FIRST if ending in endings), "gone")
        said = _("%(deed)s: %(ended)s.") % {"deed": self.label, "ended": self.word(ended)}
        history.record(errand.user, about, errand.noted(said))
        return Ended(ended, failed=ended in TO_LOOK_AT, look_at=pk)


def _callable(row: SignalDelivery) -> list[str]:
    """The receivers that this process would call for it: of a placeholder all that are connected by now."""
    if not row.receiver:
        return names(row.signal)
    return [row.receiver] if receiver(row.signal, row.receiver) is not None else []


class Force(Deliver):
    """What was done as well."""

    name = "force"
    permission = "force"
    label = gettext_lazy("Deliver again, done ones too")
    explanation = gettext_lazy("Each receiver is called once more, now, in this process, even if it succeeded before.")
    warning = gettext_lazy(
        "Receivers that are done run a second time: what they do may happen twice, a parcel or an e-mail for example. "
        "They are handed the same idempotency key as before; only a receiver that looks at it knows that it was there."
    )
    needs_reason = True
    force = True

    def offered(self, row: SignalDelivery) -> bool:
        return bool(row.status == SignalDelivery.Status.DONE)


class DeliverOrder(Deliver):
    """What failed of an order."""

    explanation = gettext_lazy(
        "Each receiver of the order that has not succeeded yet is called once more, now, in this process. What is "
        "done stays done."
    )

    def offered(self, row: Any) -> bool:
        return eligible(self.deliveries([row.pk]), force=False).exists()

    def deliveries(self, pks: list[int]) -> QuerySet[SignalDelivery]:
        return SignalDelivery.objects.filter(order__in=pks)


DELIVER, FORCE, DELIVER_ORDER = Deliver(), Force(), DeliverOrder()


def _columns() -> list[str]:
    names = [_("receiver"), pgettext("what is paid for", "Order"), _("status"), _("attempts"), _("last error")]
    return list(names)


def _cells(row: SignalDelivery, links: Links) -> list[Cell]:
    mark, tone = delivery_mark(row), delivery_tone(row)
    row = disarmed(row)
    return [
        Cell(row.receiver or _("no receiver"), links.to(row)),
        Cell(plain(row.order.out_trade_no) if row.order else "", links.to(row.order), whole=True),
        Cell(mark, tone=tone),
        Cell(str(row.attempts)),
        Cell(last_line(row.last_error)),
    ]
