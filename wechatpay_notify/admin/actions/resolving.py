"""Resolving: note that somebody has dealt with money that does not fit the record, and how.

Never moves money or an order's status.
"""

from collections import Counter

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from wechatpay_notify import history
from wechatpay_notify.admin.cells import Cell
from wechatpay_notify.admin.disclosure import disarmed, money
from wechatpay_notify.admin.panels import Links
from wechatpay_notify.models import Discrepancy

from .deed import MOST_LISTED, Deed, Ended, Errand, Plan, listed, not_done, sentence


class Resolve(Deed):
    name = "resolve"
    permission = "resolve"
    label = gettext_lazy("Resolve")
    explanation = gettext_lazy(
        "Say that somebody has dealt with this money, and how: it leaves the list of what is open. Nothing else "
        "changes: no refund is made, no order changes its status, no receiver is called."
    )
    needs_reason = True
    words = {"resolved": gettext_lazy("resolved"), "before": gettext_lazy("skipped: resolved meanwhile")}

    passed_over = frozenset({"before"})

    def offered(self, row: Discrepancy) -> bool:
        return row.resolved_at is None

    def plan(self, pks: list[int], links: Links) -> Plan:
        rows = list(Discrepancy.objects.filter(pk__in=pks).order_by("pk"))
        still = [row for row in rows if row.resolved_at is None]
        count = ngettext("%(count)d discrepancy", "%(count)d discrepancies", len(still)) % {"count": len(still)}
        cells = [
            [
                Cell(row.out_trade_no, links.to(row), whole=True),
                Cell(row.get_reason_display()),
                Cell(money(row.amount, row.currency), whole=True),
                Cell(row.transaction_id, whole=True),
            ]
            for row in map(disarmed, still[:MOST_LISTED])
        ]
        columns = [_("merchant order number"), _("reason"), _("amount reported"), _("WeChat transaction")]
        resolved = Counter((_("it is resolved already"),) for row in rows if row.resolved_at is not None)
        panels = [*listed(_("The discrepancies"), columns, cells, len(still)), *not_done(resolved)]
        return Plan([row.pk for row in still], [sentence(count)], panels)

    def do(self, pk: int, errand: Errand) -> Ended:
        row = Discrepancy.objects.select_related("order").get(pk=pk)
        if not Discrepancy.objects.resolve(row, by=errand.by, reason=errand.reason):
            return Ended("before")
        history.record(errand.user, history.about(row), errand.noted(_("Resolved.")))
        return Ended("resolved")


RESOLVE = Resolve()
