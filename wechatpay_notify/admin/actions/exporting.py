"""Exporting: the rows of a list as a CSV file that a spreadsheet opens and runs nothing of.

Never shows more than the pages do: personal values are masked in it too.
"""

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Model, QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from wechatpay_notify import history
from wechatpay_notify.admin.disclosure import is_personal, local, masked, masked_text, moment, plain
from wechatpay_notify.admin.panels import Links, last_line
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.models.fields import ExactCharField

from .deed import Deed, Errand, Plan

MOST_ROWS = 10_000
PORTION = 500
"""Rows read at once."""
BOM = "\ufeff"
"""Without it Excel takes UTF-8 for the encoding of its country."""
COLUMNS: dict[type[Model], str] = {
    Order: """
        out_trade_no status amount refunded_amount currency reference description transaction_id paid_at confirmed_by
        trade_type payer_total openid sub_openid combine_out_trade_no mchid sub_mchid appid sub_appid public_id
        created_at updated_at closed_at
    """,
    Refund: """
        out_refund_no status amount order.currency order.out_trade_no transaction_id refund_id mchid sub_mchid
        success_time created_at updated_at
    """,
    NotificationLog: """
        id received_at outcome http_status out_trade_no transaction_id out_refund_no notification_id api_version
        event_type merchant verified detail duration_ms attempt_estimate remote_addr replay_of
    """,
    SignalDelivery: """
        id receiver signal status attempts order.out_trade_no subject idempotency_key last_error next_attempt_at
        created_at done_at duration_ms
    """,
    Discrepancy: """
        id out_trade_no reason amount expected_amount currency transaction_id merchant first_seen last_seen times
        resolved_at resolved_by resolution
    """,
}
"""The columns of each file, in the order of the list's."""
MINOR_UNIT = {name: f"{name}_minor_unit" for name in ("amount", "refunded_amount", "payer_total", "expected_amount")}
"""What columns of money are called in a file: fen, or the like of another currency."""
HEAVY = {NotificationLog: ("body", "headers", "resource"), SignalDelivery: ("payload",)}
_FORMULA = re.compile(r"(?:^|(?<=[;\t\r\n]))(?=\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r])")
"""Where a spreadsheet would begin a formula: a cell's beginning, and what it may take for one's where commas do not
separate. Full-width signs count too, in East Asian editions."""


def cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return _FORMULA.sub("'", text)


class Export(Deed):
    name = "export"
    permission = "export"
    label = gettext_lazy("Export as CSV")
    explanation = gettext_lazy(
        "A file for a spreadsheet, in UTF-8. Amounts are in the minor unit (fen), times in the site's time zone. "
        "Openids and other personal values are masked, openids unless you may see them whole."
    )

    def __init__(self, model: type[Model]) -> None:
        self.model, self.columns = model, COLUMNS[model].split()

    def offered(self, row: object) -> bool:
        return False  # the page says more than its line in a file

    def chosen(self, rows: QuerySet[Any]) -> list[int]:
        return list(rows.values_list("pk", flat=True)[:MOST_ROWS])

    def plan(self, pks: list[int], links: Links) -> Plan:
        sentences = [ngettext("%(count)d row.", "%(count)d rows.", len(pks)) % {"count": len(pks)}]
        if len(pks) == MOST_ROWS:
            told = _("A file has %(most)d rows at most: of what you selected, the first ones of the list.")
            sentences.append(told % {"most": MOST_ROWS})
        return Plan(pks, sentences, [])

    def download(self, request: HttpRequest, errand: Errand) -> HttpResponseBase:
        whole = request.user.has_perm("wechatpay_notify.view_openid")
        said = ngettext("Exported %(count)d row as CSV.", "Exported %(count)d rows as CSV.", errand.total)
        history.record_of_list(errand.user, self.model, errand.noted(said % {"count": errand.total}))
        name = f"{self.model._meta.model_name}-{local(timezone.now()):%Y%m%d-%H%M%S}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
        return StreamingHttpResponse(
            self.lines(errand.pks, whole=whole), content_type="text/csv; charset=utf-8", headers=headers
        )

    def lines(self, pks: list[int], *, whole: bool) -> Iterator[str]:
        """The file, line by line; with openids `whole` or masked."""
        writer = csv.writer(_Echo(), quoting=csv.QUOTE_ALL)
        yield BOM + writer.writerow([MINOR_UNIT.get(name, name) for name in self.columns])
        rows = self.model._default_manager.defer(*HEAVY.get(self.model, ()))
        if "order.out_trade_no" in self.columns:
            rows = rows.select_related("order")
        for start in range(0, len(pks), PORTION):
            found = rows.in_bulk(pks[start : start + PORTION])
            for pk in pks[start : start + PORTION]:
                if pk in found:
                    yield writer.writerow([cell(_shown(found[pk], name, whole=whole)) for name in self.columns])


class _Echo:
    """A file that hands back what is written."""

    def write(self, line: str) -> str:
        return line


def _shown(row: Any, name: str, *, whole: bool) -> str:
    owner, _dot, column = name.rpartition(".")
    row = getattr(row, owner) if owner else row
    value: Any = None if row is None else getattr(row, column)
    if column == "last_error":
        return plain(last_line(masked_text(value)))  # masked whole: a cut through a value would hide it from the mask
    if column == "next_attempt_at" and row.status != SignalDelivery.Status.PENDING:
        value = None  # there is none
    if isinstance(value, datetime):
        return moment(value)
    if not isinstance(value, str):
        return "" if value is None else str(value)
    if is_personal(column):
        return plain(value if whole else masked(value))
    is_number = column == "idempotency_key" or isinstance(row._meta.get_field(column), ExactCharField)
    return plain(value if is_number else masked_text(value))


EXPORT_ORDERS, EXPORT_REFUNDS, EXPORT_NOTIFICATIONS = Export(Order), Export(Refund), Export(NotificationLog)
EXPORT_DELIVERIES, EXPORT_DISCREPANCIES = Export(SignalDelivery), Export(Discrepancy)
