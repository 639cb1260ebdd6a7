"""Fixture: one notification as a test for a shop's own suite, to download.

Never a personal value or a key of the shop's in it; what it is made of is written by sample.py.
"""

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from wechatpay_notify import history
from wechatpay_notify.admin.panels import Links
from wechatpay_notify.models import NotificationLog

from .deed import Deed, Errand, Plan
from .sample import source


class Fixture(Deed):
    name = "fixture"
    permission = "export"
    label = gettext_lazy("Export as pytest test")
    explanation = gettext_lazy(
        "A Python file for the tests of your shop: it sends this notification, signed anew with throw-away keys each "
        "time it runs, to your notify URL. Openids, telephone numbers and the like are replaced by pretend values, the "
        "order's numbers stay. Look at attach and description yourself before you pass it on: they are your own."
    )

    def offered(self, row: NotificationLog) -> bool:
        return row.verified and row.resource is not None

    def plan(self, pks: list[int], links: Links) -> Plan:
        rows = NotificationLog.objects.filter(pk__in=pks[:1])
        fit = [row for row in rows if self.offered(row)]
        if not fit:
            return Plan([], [_("It was not proven genuine, or not decrypted: what it says is not known.")], [])
        return Plan([row.pk for row in fit], [_("One file, test_wechatpay_%(number)d.py.") % {"number": fit[0].pk}], [])

    def download(self, request: HttpRequest, errand: Errand) -> HttpResponse | None:
        if not errand.pks:
            return None
        row = NotificationLog.objects.get(pk=errand.pks[0])
        history.record(errand.user, history.about(row), errand.noted(_("Exported as pytest test.")))
        name = f"test_wechatpay_{row.pk}.py"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
        return HttpResponse(source(row), content_type="text/x-python; charset=us-ascii", headers=headers)


FIXTURE = Fixture()
