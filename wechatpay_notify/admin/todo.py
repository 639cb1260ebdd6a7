"""The to-do list of the payment desk: what needs a person, each kind with what to do about it.

Never counts on beyond a hundred, nor looks further back than an index takes it.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import timedelta

from django.db import Error, router, transaction
from django.db.models import Model
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from wechatpay_notify.delivery import receivers
from wechatpay_notify.health.days import by_outcome
from wechatpay_notify.health.verdict import MOST_OVERDUE
from wechatpay_notify.models import Discrepancy, NotificationLog, Refund, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES, label

from . import ledger, refunds
from .cells import Cell, Panel
from .disclosure import disarmed, moment, money, plain
from .panels import AMOUNT_ORDERED, AMOUNT_REPORTED, Links, last_line, outcome_tone

LISTED = 10
"""Rows shown of each kind; the list has the rest."""
MOST = 100
"""More than these are not counted."""
GLANCED_AT = 1_000
"""Rows of a state that are looked at to tell its kinds apart."""
LATE = timedelta(seconds=MOST_OVERDUE)
"""A worker looks every second, a sweeper every minute, WeChat's first retries come within ten minutes."""
WEEK = timedelta(days=7)
NO_REFUSAL = ("busy", "probe", "receiver_failed", "no_receiver")
"""Answered with a failure, and nothing to do: the next attempt heals it, WeChat tried whether we look, or it is a
delivery that is to be mended, which is listed itself for as long as it is not done."""

_logger = logging.getLogger("wechatpay_notify")


def amount(links: Links) -> str:
    """How much there is to do, of what this reader may view: "" for nothing or not known, "3", or "100+"."""
    found = 0
    try:
        for model, pks in _COUNTED.items():
            if links.may_view(model):
                with transaction.atomic(using=router.db_for_read(model)):  # a failure must not spoil the host's
                    found += len(pks())
    except Error:
        _logger.debug("what is to do could not be counted", exc_info=True)
        return ""
    return counted(found) if found else ""


def counted(number: int) -> str:
    return f"{MOST}+" if number > MOST else str(number)


def panels(links: Links) -> list[Panel]:
    """One table for each kind of work that there is."""
    kinds: list[tuple[type[Model], Callable[[Links], Iterable[Panel]]]] = [
        (Discrepancy, _discrepancies),
        (SignalDelivery, _deliveries),
        (Refund, _refunds),
        (NotificationLog, _refusals),
    ]
    return [panel for model, made in kinds if links.may_view(model) for panel in made(links)]


def _open_discrepancies(most: int = MOST + 1) -> list[tuple[int, str]]:
    rows = Discrepancy.objects.filter(resolved_at=None).order_by("resolved_at", "-id")  # as the index has them
    return list(rows.values_list("pk", "reason")[:most])


def _given_up() -> list[int]:
    rows = receivers.given_up().order_by("-next_attempt_at")
    return list(rows.values_list("pk", flat=True)[: MOST + 1])


def _abnormal() -> list[int]:
    rows = Refund.objects.filter(status=Refund.Status.ABNORMAL).order_by("-pk")
    return list(rows.values_list("pk", flat=True)[: MOST + 1])


_COUNTED: dict[type[Model], Callable[[], list[int] | list[tuple[int, str]]]] = {
    Discrepancy: _open_discrepancies,
    SignalDelivery: _given_up,
    Refund: _abnormal,
}
"""What the admin's index counts: each of these needs somebody. Refusals are told by cause, not one by one."""


def _discrepancies(links: Links) -> Iterable[Panel]:
    of_reason: dict[str, list[int]] = defaultdict(list)
    for pk, reason in _open_discrepancies(GLANCED_AT):
        of_reason[reason].append(pk)
    for reason, named in Discrepancy.Reason.choices:
        pks = of_reason.get(reason)
        if pks:
            rows = Discrepancy.objects.filter(pk__in=pks[:LISTED]).select_related("order").order_by("-pk")
            yield Panel(
                title=_titled(_("Discrepancy: %(reason)s") % {"reason": named}, pks),
                note=ledger.advice(reason),
                columns=[
                    _("order"),
                    AMOUNT_REPORTED,
                    AMOUNT_ORDERED,
                    _("WeChat transaction"),
                    _("last seen"),
                    _("recorded order"),
                ],
                rows=[_discrepancy(disarmed(row), links) for row in rows],
                more=_all(links, Discrepancy, pks, state="open", reason__exact=reason),
            )


def _discrepancy(row: Discrepancy, links: Links) -> list[Cell]:
    currency = row.order.currency if row.order else row.currency
    return [
        Cell(row.out_trade_no, links.to(row)),
        Cell(money(row.amount, row.currency), whole=True),
        Cell(money(row.expected_amount, currency), whole=True),
        Cell(row.transaction_id, whole=True),
        Cell(moment(row.last_seen), whole=True),
        Cell(plain(row.order.out_trade_no) if row.order else "", links.to(row.order)),
    ]


_GAVE_UP = gettext_lazy(
    "The receiver failed too often, or is gone: nobody does this any more by itself. The last error says why. Have "
    "the receiver mended, then have it delivered again, or do by hand what it should have done."
)
_NOBODY = gettext_lazy(
    "The money is confirmed, and no receiver is connected that could be told. Connect one to payment_confirmed, and "
    "import its module in your AppConfig.ready(); until then deliver these orders by hand."
)
_OVERDUE = gettext_lazy(
    "Due for more than fifteen minutes, and nobody has run it. Start manage.py wechatpay_deliver --loop, or the task "
    "engine that DELIVERY wakes. With inline delivery and no worker, WeChat's next attempt runs it."
)
_RETRIED = gettext_lazy(
    "The receiver failed, so what it should do for the customer is not done yet. It is tried again by itself, by the "
    "worker or with WeChat's next attempt, until it succeeds or is given up. The last error says why; if it is urgent, "
    "do it by hand."
)
_WAITING = gettext_lazy(
    "Tried by nobody for more than fifteen minutes: the receiver is not connected any more, was renamed, or a refund "
    "waits for its payment to be reported. Connect the receiver under its old name, or query the payment."
)


def _deliveries(links: Links) -> Iterable[Panel]:
    late = timezone.now() - LATE
    rows = SignalDelivery.objects.filter(status=SignalDelivery.Status.PENDING).order_by("next_attempt_at")
    pending = rows.values_list("pk", "receiver", "attempts", "next_attempt_at", "created_at")[:GLANCED_AT]
    nobody, overdue, retried, waiting = [], [], [], []
    for pk, receiver, attempts, due, created in pending:
        if not receiver:
            nobody.append(pk)
        elif due < late:
            overdue.append(pk)
        elif attempts:
            retried.append(pk)
        elif created < late:
            waiting.append(pk)
    for title, note, pks, status in (
        (_("Paid, and no receiver is connected"), _NOBODY, nobody, "pending"),
        (_("Receivers that gave up"), _GAVE_UP, _given_up(), "gave_up"),
        (_("Receivers overdue"), _OVERDUE, overdue, "pending"),
        (_("Receivers that failed and are tried again"), _RETRIED, retried, "pending"),
        (_("Receivers that wait"), _WAITING, waiting, "pending"),
    ):
        if pks:
            yield _of_deliveries(title, note, sorted(pks, reverse=True), status, links)


def _of_deliveries(title: str, note: str | Promise, pks: list[int], status: str, links: Links) -> Panel:
    rows = SignalDelivery.objects.filter(pk__in=pks[:LISTED]).select_related("order").defer("payload").order_by("-pk")
    return Panel(
        title=_titled(title, pks),
        note=note,
        columns=[_("receiver"), _("order"), _("signal"), _("attempts"), _("last error"), _("created at")],
        rows=[
            [
                Cell(row.receiver or _("no receiver"), links.to(row)),
                Cell(plain(row.order.out_trade_no) if row.order else "", links.to(row.order)),
                Cell(row.signal, whole=True),
                Cell(str(row.attempts)),
                Cell(last_line(row.last_error)),
                Cell(moment(row.created_at), whole=True),
            ]
            for row in map(disarmed, rows)
        ],
        more=_all(links, SignalDelivery, pks, status__exact=status),
    )


def _refunds(links: Links) -> Iterable[Panel]:
    pks = _abnormal()
    if pks:
        rows = Refund.objects.filter(pk__in=pks[:LISTED]).select_related("order").order_by("-pk")
        yield Panel(
            title=_titled(_("Abnormal refunds"), pks),
            note=refunds.TO_DO[Refund.Status.ABNORMAL.value],
            columns=[_("merchant refund number"), _("amount"), _("order"), _("updated at")],
            rows=[
                [
                    Cell(row.out_refund_no, links.to(row)),
                    Cell(money(row.amount, row.order.currency), whole=True),
                    Cell(plain(row.order.out_trade_no), links.to(row.order)),
                    Cell(moment(row.updated_at), whole=True),
                ]
                for row in map(disarmed, rows)
            ],
            more=_all(links, Refund, pks, status__exact=Refund.Status.ABNORMAL.value),
        )


def _refusals(links: Links) -> Iterable[Panel]:
    # What was processed again by hand is no request of its own.
    rows = NotificationLog.objects.filter(received_at__gte=timezone.now() - WEEK, replay_of=None)
    refused = [code for code, outcome in OUTCOMES.items() if outcome.word and code not in NO_REFUSAL]
    counts = by_outcome(rows, [*refused, "probe"], MOST + 1)
    probes = counts.pop("probe", 0)
    if counts:
        apart = ngettext(
            "%(count)s probe of WeChat's is not among them: it is to be refused.",
            "%(count)s probes of WeChat's are not among them: they are to be refused.",
            probes,
        )
        yield Panel(
            title=_("Refused in the last seven days, by cause"),
            note=apart % {"count": counted(probes)} if probes else "",
            columns=[_("cause"), _("how many"), _("newest"), _("what to do")],
            rows=[_refusal(code, number, links) for code, number in counts.items()],
        )


def _refusal(code: str, number: int, links: Links) -> list[Cell]:
    rows = NotificationLog.objects.filter(outcome=code, replay_of=None).only("outcome", "received_at", "http_status")
    newest = rows.order_by("-received_at", "-id").first() or NotificationLog(outcome=code)  # pruned meanwhile
    return [
        Cell(label(code), links.listed(NotificationLog, outcome=code), whole=True),
        Cell(counted(number), tone=outcome_tone(newest)),
        Cell(moment(newest.received_at), links.to(newest) if newest.pk else "", whole=True),
        Cell(OUTCOMES[code].hint),
    ]


def _titled(title: str, pks: list[int]) -> str:
    return f"{title} ({counted(len(pks))})"


def _all(links: Links, model: type[Model], pks: list[int], **filters: str) -> Cell | None:
    return Cell(_("the whole list"), links.listed(model, **filters)) if len(pks) > LISTED else None
