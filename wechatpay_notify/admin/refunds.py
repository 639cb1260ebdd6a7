"""The admin page of one refund: how far it has come, whom it was told to, and whether a person must act.

Never refunds anything: that is done on the merchant platform or by the shop's own code.
"""

from collections.abc import Sequence

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from wechatpay_notify.judgement import REFUND_SIGNALS
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery

from . import panels
from .actions.doing import as_actions
from .actions.exporting import EXPORT_REFUNDS
from .cells import Panel, badge
from .disclosure import money
from .panels import Links
from .readonly import shown, shown_moment
from .records import MOST_ORDERS, FoundByOrder

REFUND_NUMBERS = ("out_refund_no__exact", "refund_id__exact")
TO_DO = {
    Refund.Status.PROCESSING.value: _(
        "Wait: WeChat is paying it back, within minutes to a balance, in one to three working days to a bank card. It "
        "counts as refunded meanwhile; a notification tells how it ended."
    ),
    Refund.Status.SUCCESS.value: _("The money is back with the customer."),
    Refund.Status.ABNORMAL.value: _(
        "Somebody must act: the bank did not take the money, usually because the customer's card is cancelled or "
        "frozen, and WeChat holds it. On the merchant platform, or with the API apply-abnormal-refund, have it paid to "
        "another bank card of the customer, or to your own account and pay the customer otherwise."
    ),
    Refund.Status.CLOSED.value: _(
        "WeChat gave this refund up, usually because your account had too little money for days. The money stayed with "
        "you: if the customer is owed it, and no discrepancy below says otherwise, refund anew under a new number."
    ),
}
"""What each state asks of a person (WeChat's guide to refunds, 4013071031)."""
WAITS = _(
    "Nobody is told of it before its payment, which has not been reported yet. If that notification does not come "
    "within 24 hours, query the payment and hand the answer to confirm_payment()."
)


UNRECORDED = ("received", "conflict", "wrong_merchant", "busy", "unavailable", "error")
"""The outcomes under which a notification may name a refund that is recorded nowhere: refused, or of no order here."""
LOOKED_THROUGH = 200
"""Newest notifications of each of these outcomes that are looked through: the log has no index of refund numbers.

Each is a page of its own: of 2,000 an outcome PostgreSQL reads 12,000 pages, which take 18 ms; SQLite more.
"""


def unrecorded_refunds(numbers: Sequence[str]) -> Q:
    """What a notification fulfils that names one of these refunds, among the newest that may be recorded nowhere."""
    condition = Q()
    for outcome in UNRECORDED:
        rows = NotificationLog.objects.filter(outcome=outcome).order_by("-received_at", "-id")
        oldest = rows.values_list("received_at", flat=True)[LOOKED_THROUGH - 1 : LOOKED_THROUGH].first()
        newest = Q(outcome=outcome) if oldest is None else Q(outcome=outcome, received_at__gte=oldest)
        condition |= newest
    return condition & Q(out_refund_no__in=numbers)


def naming(refunds: QuerySet[Refund]) -> Q:
    """What a notification fulfils that names one of these; by its order, for the log has no index of refund numbers."""
    numbers = list(refunds.values_list("order__out_trade_no", "out_refund_no")[:MOST_ORDERS])
    return Q(out_trade_no__in=[pair[0] for pair in numbers], out_refund_no__in=[pair[1] for pair in numbers])


class RefundAdmin(FoundByOrder):
    deeds = (EXPORT_REFUNDS,)
    actions = as_actions(*deeds)
    list_display = ("out_refund_no", "state", "amount_shown", "order_number", "updated_at_shown")
    list_filter = ("status",)
    search_fields = REFUND_NUMBERS
    search_help_text = _(
        "Refund number, WeChat refund, order number, WeChat transaction, the shop's reference: a whole one, exactly."
    )
    fieldsets = (
        (None, {"fields": (("out_refund_no", "state", "amount_shown"), "to_do")}),
        (_("Numbers"), {"fields": (("order_number", "transaction_id", "refund_id"), ("mchid", "sub_mchid"))}),
        (_("Record"), {"fields": (("success_time_shown", "created_at_shown", "updated_at_shown"),)}),
    )

    amount_shown = shown(Refund, "amount", lambda row: money(row.amount, row.order.currency), _("amount"))
    success_time_shown = shown_moment(Refund, "success_time")
    created_at_shown, updated_at_shown = shown_moment(Refund, "created_at"), shown_moment(Refund, "updated_at")

    @admin.display(description=_("status"))
    def state(self, row: Refund) -> SafeString:
        return badge(row.get_status_display(), panels.refund_tone(row))

    @admin.display(description=_("what to do"))
    def to_do(self, row: Refund) -> str:
        waits = row.order.status != Order.Status.PAID
        return f"{TO_DO[row.status]} {WAITS if waits else ''}".strip()

    def panels(self, row: Refund, links: Links) -> list[Panel | None]:
        subjects = [f"refund:{row.pk}:{status}" for status in REFUND_SIGNALS]
        contradictions = Discrepancy.objects.filter(order=row.order_id, reason=Discrepancy.Reason.REFUND_CONFLICT)
        about = NotificationLog.objects.filter(naming(Refund.objects.filter(pk=row.pk)))
        return [
            panels.orders(Order.objects.filter(pk=row.order_id), links),
            panels.deliveries(SignalDelivery.objects.filter(subject__in=subjects), links),
            panels.discrepancies(contradictions, links),
            panels.notifications(about, links, _("Notifications of this refund"), row.out_refund_no),
        ]
