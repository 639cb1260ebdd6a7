"""Processing: take stored notifications down the line again, one by one or all that were refused since a moment.

Never accepts what the signature does not prove: the stored bytes are checked as they were on arrival.
"""

from collections import Counter
from datetime import timedelta
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from wechatpay_notify import delivery, history, replay
from wechatpay_notify.admin.cells import Cell
from wechatpay_notify.admin.disclosure import disarmed, local, moment, plain
from wechatpay_notify.admin.panels import Links, outcome_label, outcome_tone
from wechatpay_notify.judgement import REFUND_SIGNALS
from wechatpay_notify.models import NotificationLog, Order, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES, label
from wechatpay_notify.signals import LEDGER_SIGNALS

from .deed import (
    MOST_AT_ONCE,
    MOST_LISTED,
    Deed,
    Ended,
    Errand,
    Plan,
    TooMany,
    counted_orders,
    joined,
    listed,
    not_done,
    sentence,
    table,
)

SINCE = timedelta(hours=24)
"""For as long WeChat sends again by itself."""
FORGED = "signature_invalid"
"""The outcome of bytes that no configured key verifies, whether a key or the bytes are wrong."""
MOST_NUMBERS = 500
"""Order numbers in one query."""


class Process(Deed):
    name = "process"
    permission = "process"
    label = gettext_lazy("Process again")
    explanation = gettext_lazy(
        "The bytes that WeChat sent are judged once more, after a key or an order was mended. The signature is checked "
        "as ever, and whether it was fresh is judged by when it came. What is recorded already is a duplicate and "
        "does nothing twice."
    )
    looks_at = NotificationLog

    def word(self, code: str) -> Any:
        return self.words.get(code) or (label(code) if code in OUTCOMES else super().word(code))

    words = {"skipped": gettext_lazy("skipped: it cannot be processed again")}

    def failure(self, row: NotificationLog) -> tuple[str, str]:
        return history.named(row), f"{outcome_label(row)}: {row.detail}" if row.detail else outcome_label(row)

    def plan(self, pks: list[int], links: Links) -> Plan:
        run: list[int] = []
        cells: list[list[Cell]] = []
        outcomes: Counter[tuple[str, ...]] = Counter()
        why: Counter[tuple[str, ...]] = Counter()
        numbers: set[str] = set()
        signals: set[str] = set()
        # In small portions: a body may have two megabytes.
        for row in NotificationLog.objects.filter(pk__in=pks).order_by("received_at", "pk").iterator(chunk_size=20):
            refused = replay.replayable(row)
            if refused:
                why[str(refused),] += 1
                continue
            run.append(row.pk)
            outcomes[outcome_label(row),] += 1
            numbers.update(row.order_numbers())
            signals |= _signals(row)
            if len(cells) < MOST_LISTED:
                cells.append(_cells(row, links))
        orders = _orders(numbers)
        count = ngettext("%(count)d notification", "%(count)d notifications", len(run)) % {"count": len(run)}
        sentences = [sentence(count, counted_orders(len(orders)))]
        names = _receivers(orders, signals)
        if run and names:
            said = _("As far as one of them finds something new, these receivers will run: %(names)s.")
            sentences.append(said % {"names": plain(joined(names))})
        if outcomes[label(FORGED),]:
            sentences.append(
                _(
                    "A body that was altered on its way can never verify: as stored it stays refused. The page of the "
                    "notification says if it was; mend what alters it, and have WeChat's next attempt or a query "
                    "confirm the payment."
                )
            )
        columns = [_("received at"), _("outcome"), _("merchant order number"), _("WeChat transaction")]
        panels = [
            *table(_("How they ended before"), [_("outcome")], outcomes),
            *not_done(why),
            *listed(_("The notifications"), columns, cells, len(run)),
        ]
        return Plan(run, sentences, panels)

    def do(self, pk: int, errand: Errand) -> Ended:
        row = NotificationLog.objects.get(pk=pk)
        if replay.replayable(row):
            return Ended("skipped")
        replayed = replay.process_again(row)
        said = _("%(deed)s: %(ended)s.") % {"deed": self.label, "ended": label(replayed.outcome)}
        history.record_replay(errand.user, row, replayed.log, errand.noted(said))
        return Ended(replayed.outcome, failed=not replayed.accepted, look_at=replayed.log.pk if replayed.log else pk)


class Reverify(Process):
    name = "reverify"
    permission = "reverify"
    label = gettext_lazy("Verify again what was refused since …")

    def question(self, request: HttpRequest) -> "SinceForm":
        since = local(timezone.now() - SINCE)
        return SinceForm(request.GET if "since" in request.GET else None, initial={"since": since})

    def which(self, form: Any) -> str:
        return _("Refused since %(moment)s.") % {"moment": moment(form.cleaned_data["since"])}

    def found(self, form: Any) -> list[int]:
        pks = list(replay.refused_since(form.cleaned_data["since"]).values_list("pk", flat=True)[: MOST_AT_ONCE + 1])
        if len(pks) > MOST_AT_ONCE:
            told = _(
                "More than %(most)d were refused since then, which is too many at once. Nothing was done. Choose a "
                "later moment, or use the command wechatpay_replay."
            )
            raise TooMany(told % {"most": MOST_AT_ONCE})
        return pks


class SinceForm(forms.Form):
    """From when on; in the site's time zone."""

    since = forms.DateTimeField(
        label=gettext_lazy("Refused since"),
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )


PROCESS, REVERIFY = Process(), Reverify()


def _orders(numbers: set[str]) -> list[int]:
    found: list[int] = []
    wanted = sorted(numbers)
    for start in range(0, len(wanted), MOST_NUMBERS):
        some = Order.objects.filter(out_trade_no__in=wanted[start : start + MOST_NUMBERS])
        found += some.values_list("pk", flat=True)
    return found


def _signals(row: NotificationLog) -> set[str]:
    """What it may be told by, as far as is known before it is proven: v2 names no event."""
    if row.out_refund_no or row.event_type.startswith("REFUND."):
        return set(REFUND_SIGNALS.values())
    if row.event_type in ("TRANSACTION.SUCCESS", "TRANSACTION.FAIL"):
        return {"payment_confirmed", "payment_unexpected", "payment_failed"}
    return set(LEDGER_SIGNALS) if not row.event_type else {"notification_received"}


def _receivers(orders: list[int], signals: set[str]) -> set[str]:
    """Who may be told: those connected now, and those an order still waits for."""
    names = {name for signal in signals for name in delivery.names(signal)}
    waiting = SignalDelivery.objects.filter(order__in=orders, status=SignalDelivery.Status.PENDING)
    return names | set(waiting.values_list("receiver", flat=True).distinct()) - {""}


def _cells(row: NotificationLog, links: Links) -> list[Cell]:
    row = disarmed(row)
    return [
        Cell(moment(row.received_at), links.to(row), whole=True),
        Cell(outcome_label(row), tone=outcome_tone(row)),
        Cell(row.out_trade_no, whole=True),
        Cell(row.transaction_id, whole=True),
    ]
