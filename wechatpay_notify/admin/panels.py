"""Panels: the tables and text blocks below the fields of a page, with links to what belongs together.

Never shows or links what this user may not view, and never holds markup of anybody else's: each text is escaped.
"""

import logging
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from wechatpay_notify.delivery import WHOLLY_REFUNDED
from wechatpay_notify.delivery.receivers import CLOSED
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES, label

from .cells import Cell, Panel, Text
from .disclosure import disarmed, moment, money
from .remarks import translated

MOST_ROWS = 50
ORDER = pgettext_lazy("what is paid for", "Order")
"""Without a context Django's own catalogue would translate it: 排序, a sequence."""
AMOUNT_REPORTED, AMOUNT_ORDERED = gettext_lazy("amount reported"), gettext_lazy("amount of the order")
"""Of a discrepancy, whose amount is a payment's or a refund's."""


class Links:
    """What this user may view on this admin site, and where it is."""

    def __init__(self, site: AdminSite, request: HttpRequest) -> None:
        self._site, self._request = site, request

    def may_view(self, model: type[Model]) -> bool:
        registered = self._site.is_registered(model)
        return registered and self._site.get_model_admin(model).has_view_permission(self._request)

    def to(self, row: Model | None) -> str:
        if row is None or not self.may_view(type(row)):
            return ""
        return reverse(f"{_name(row)}_change", args=[row.pk], current_app=self._site.name)

    def search(self, model: type[Model], number: str) -> str:
        return self.listed(model, q=number)

    def listed(self, model: type[Model], **query: str) -> str:
        """The list with these query parameters, whether this user may view it or not."""
        return f"{reverse(f'{_name(model)}_changelist', current_app=self._site.name)}?{urlencode(query)}"


def orders(rows: QuerySet[Order], links: Links) -> Panel | None:
    """Shop orders, or that there is none."""
    if not links.may_view(Order):
        return None
    cells = [
        [
            Cell(order.out_trade_no, links.to(order), whole=True),
            Cell(order.get_status_display(), tone=order_tone(order)),
            Cell(money(order.amount, order.currency), whole=True),
            Cell(order.reference),
            Cell(order.transaction_id or "", whole=True),
            Cell(moment(order.paid_at), whole=True),
        ]
        for order in _newest(rows)
    ]
    columns = [
        *_labels(Order, "out_trade_no", "status"),
        _("amount"),
        *_labels(Order, "reference", "transaction_id", "paid_at"),
    ]
    return Panel(
        title=ORDER,
        columns=columns,
        rows=cells,
        note="" if cells else _("No order has this number or transaction."),
    )


def deliveries(rows: QuerySet[SignalDelivery], links: Links, title: Text = "") -> Panel | None:
    """The receivers and whether each was told."""
    if not links.may_view(SignalDelivery):
        return None
    cells = [
        [
            Cell(row.receiver or _("no receiver"), links.to(row)),
            Cell(row.signal),
            Cell(delivery_mark(row), tone=delivery_tone(row)),
            Cell(str(row.attempts)),
            Cell(last_line(row.last_error)),
            Cell(moment(row.done_at), whole=True),
        ]
        for row in _newest(rows.defer("payload"))
    ]
    columns = [
        *_labels(SignalDelivery, "receiver", "signal", "status"),
        *_labels(SignalDelivery, "attempts", "last_error", "done_at"),
    ]
    return Panel(title=title or _("Receivers told"), columns=columns, rows=cells, note="" if cells else _("None."))


def refunds(rows: QuerySet[Refund], links: Links, none: Text = "") -> Panel | None:
    """What was paid back, or not."""
    if not links.may_view(Refund):
        return None
    cells = [
        [
            Cell(row.out_refund_no, links.to(row)),
            Cell(row.get_status_display(), tone=refund_tone(row)),
            Cell(money(row.amount, row.order.currency), whole=True),
            Cell(row.transaction_id, whole=True),
            Cell(moment(row.updated_at), whole=True),
        ]
        for row in _newest(rows.select_related("order"))
    ]
    columns = [
        *_labels(Refund, "out_refund_no", "status"),
        _("amount"),
        *_labels(Refund, "transaction_id", "updated_at"),
    ]
    return Panel(title=_("Refunds"), columns=columns, rows=cells, note="" if cells else none or _("None."))


def discrepancies(rows: QuerySet[Discrepancy], links: Links) -> Panel | None:
    """Money that does not fit the record."""
    if not links.may_view(Discrepancy):
        return None
    cells = [
        [
            Cell(row.get_reason_display(), links.to(row)),
            Cell(*discrepancy_state(row)),
            Cell(money(row.amount, row.currency), whole=True),
            Cell(money(row.expected_amount, row.currency), whole=True),
            Cell(row.transaction_id, whole=True),
            Cell(moment(row.last_seen), whole=True),
        ]
        for row in _newest(rows)
    ]
    columns = [
        *_labels(Discrepancy, "reason"),
        _("state"),
        AMOUNT_REPORTED,
        AMOUNT_ORDERED,
        *_labels(Discrepancy, "transaction_id", "last_seen"),
    ]
    return Panel(title=_("Discrepancies"), columns=columns, rows=cells, note="" if cells else _("None."))


def notifications(rows: QuerySet[NotificationLog], links: Links, title: Text, number: str = "") -> Panel | None:
    """Deliveries of WeChat's, newest first; the proven ones are kept when there are too many of one number."""
    if not links.may_view(NotificationLog):
        return None
    kept = rows.defer("body", "headers", "resource").order_by("-verified", "-received_at", "-id")[: MOST_ROWS + 1]
    found = sorted(kept, key=lambda row: (row.received_at, row.pk), reverse=True)
    cells = [
        [
            Cell(moment(row.received_at), links.to(row), whole=True),
            Cell(outcome_label(row), tone=outcome_tone(row)),
            Cell(event(row)),
            Cell(row.transaction_id, whole=True),
            Cell(answer(row)),
            Cell(row.merchant),
        ]
        for row in map(disarmed, found[:MOST_ROWS])
    ]
    more = Cell(_("all of this number"), links.search(NotificationLog, number)) if len(found) > MOST_ROWS else None
    columns = [
        *_labels(NotificationLog, "received_at", "outcome", "event_type", "transaction_id"),
        _("answer"),
        *_labels(NotificationLog, "merchant"),
    ]
    return Panel(title=title, columns=columns, rows=cells, note="" if cells else _("None."), more=more)


def outcome_label(row: NotificationLog) -> str:
    return label(row.outcome) if row.outcome else _("no answer")


def outcome_tone(row: NotificationLog) -> str:
    outcome = OUTCOMES.get(row.outcome)
    if outcome is None or outcome.level == logging.WARNING or (row.http_status is None and row.replay_of is None):
        return "warn"
    if outcome.level >= logging.ERROR:
        return "bad"
    # Not `refunded`: the notification may say that the refund went wrong.
    return "good" if outcome.code == "confirmed" else "quiet"


def event(row: NotificationLog) -> str:
    """What was announced: v2 names no event type."""
    return f"{row.api_version} {row.event_type}".strip()


def answer(row: NotificationLog) -> str:
    """The answer WeChat had: the status alone would not tell in v2, which answers 200 to nearly everything."""
    if row.replay_of is not None:
        return _("processed again, no answer")
    if row.http_status is None:
        return _("no answer was sent (interrupted); WeChat sends again")
    outcome = OUTCOMES.get(row.outcome)
    if outcome is None:
        return f"HTTP {row.http_status}"
    return f"HTTP {row.http_status}, {f'FAIL ({outcome.word})' if outcome.word else 'SUCCESS'}"


def order_tone(order: Order) -> str:
    return {Order.Status.PAID: "good", Order.Status.CLOSED: "quiet"}.get(Order.Status(order.status), "warn")


def refund_tone(row: Refund) -> str:
    tones = {Refund.Status.SUCCESS: "good", Refund.Status.ABNORMAL: "bad", Refund.Status.CLOSED: "warn"}
    return tones.get(Refund.Status(row.status), "quiet")


def delivery_mark(row: SignalDelivery) -> str:
    """✓ or ✗ with the status in words."""
    if row.status == SignalDelivery.Status.PENDING and (row.attempts or not row.receiver):
        return _("✗ pending") if row.receiver else _("✗ no receiver")
    mark = "–" if called_off(row) else _MARKS.get(row.status, "")
    return f"{mark} {row.get_status_display()}"


def delivery_tone(row: SignalDelivery) -> str:
    if row.status == SignalDelivery.Status.PENDING:
        return "bad" if row.attempts or not row.receiver else "warn"
    if called_off(row):
        return "quiet"
    return "good" if row.status == SignalDelivery.Status.DONE else "bad"


def called_off(row: SignalDelivery) -> bool:
    """Whether it is not to be done any more: the money went back, or somebody closed it. That is no failure."""
    return row.last_error == WHOLLY_REFUNDED or row.last_error.startswith(CLOSED)


def discrepancy_state(row: Discrepancy) -> tuple[str, str, str]:
    """Text, link (none) and tone of whether a person still has to look."""
    return (_("open"), "", "bad") if row.resolved_at is None else (_("resolved"), "", "good")


def last_line(traceback: str) -> str:
    """The exception without where it was raised, or the remark."""
    lines = traceback.strip().splitlines()
    return translated(lines[-1][:300]) if lines else ""


_MARKS = {
    SignalDelivery.Status.DONE.value: "✓",
    SignalDelivery.Status.GAVE_UP.value: "✗",
    SignalDelivery.Status.PENDING.value: "○",
}


def _newest(rows: QuerySet[Any]) -> Iterable[Any]:
    return map(disarmed, rows.order_by("-pk")[:MOST_ROWS])


def _labels(model: type[Model], *names: str) -> list[Text]:
    return [model._meta.get_field(name).verbose_name for name in names]  # type: ignore[union-attr]


def _name(model: Any) -> str:
    return f"admin:{model._meta.app_label}_{model._meta.model_name}"
