"""The admin with many rows: no page of it reads the log from end to end. How long one takes is measured elsewhere."""

from datetime import timedelta

import pytest
from django.db import connection

from tests import pages, plans
from tests.test_admin import PAID, fill, url
from wechatpay_notify.admin import notifications
from wechatpay_notify.health import genuine
from wechatpay_notify.models import NotificationLog, Order

pytestmark = pytest.mark.django_db
COPIES = 1_000


@pytest.fixture
def crowded(admin_client, shipped, unexpected, monkeypatch):
    """One of everything, and notifications so many that a database would rather take an index."""
    monkeypatch.setattr(notifications, "NEWEST", COPIES // 10)
    monkeypatch.setattr(genuine, "MOST", 10)
    fill(admin_client, shipped)
    Order.objects.filter(out_trade_no=PAID).update(combine_out_trade_no="COMBI-1")
    patterns = list(NotificationLog.objects.all())
    rows = [patterns[number % len(patterns)] for number in range(COPIES)]
    fields = [field.attname for field in NotificationLog._meta.concrete_fields if not field.primary_key]
    copies = [{name: getattr(row, name) for name in fields} for row in rows]
    for number, copy in enumerate(copies):
        copy["received_at"] -= timedelta(seconds=number)
        copy.update(
            out_trade_no=f"{copy['out_trade_no']}-{number}", transaction_id=f"T{number}", out_refund_no=f"R{number}"
        )
    NotificationLog.objects.bulk_create([NotificationLog(**copy) for copy in copies])
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":  # a few thousand rows fit in few pages: it would read them all
            cursor.execute("SET LOCAL enable_seqscan = off")
    return admin_client


def test_no_page_reads_the_log_from_end_to_end(crowded):
    read, kinds = {}, set()
    for kind, address in pages.found(crowded):
        with plans.queries() as asked:
            assert crowded.get(address).status_code in pages.SHOWN
        read |= {f"{address}: {sql}": whole for sql, params in asked if (whole := plans.whole_reads((sql, params)))}
        kinds.add(kind)
    assert not read
    assert len(kinds) > 20


@pytest.mark.parametrize("query", [{}, {"outcome": "attention"}, {"api_version__exact": "v2"}])
def test_turning_the_pages_shows_each_row_once_and_the_newest_first(crowded, query):
    shown, rows = [], NotificationLog.objects.order_by("-received_at", "-pk")
    address = url(NotificationLog, "changelist")
    for page in range(1, crowded.get(address, query).context["cl"].paginator.num_pages + 1):
        shown += [row.pk for row in crowded.get(address, query | {"p": page}).context["cl"].result_list]
    if "outcome" in query:
        rows = rows.filter(outcome__in=notifications.ATTENTION)
    if "api_version__exact" in query:
        newest = [row.pk for row in rows[: notifications.NEWEST]]
        rows = rows.filter(pk__in=newest, api_version="v2")
    assert len(shown) > 50 or "api_version__exact" in query
    assert shown == [row.pk for row in rows]


def test_a_whole_read_is_noticed(crowded):
    with plans.queries() as asked:
        NotificationLog.objects.filter(detail="nothing has an index of this").exists()
    assert plans.whole_reads(asked[0])
