"""The payment desk: any number finds its payment, what needs a person is listed and counted, openids stay masked."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.admin import AdminSite
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import path
from django.utils import timezone, translation

import tests.urls
from tests.settings import PLATFORM
from tests.test_admin import (
    BACK,
    FAILING,
    HOSTILE,
    MASKED,
    MODELS,
    NOTIFY,
    PAID,
    REFUNDED,
    REPEATED,
    SHORT,
    STUCK,
    TOO_MUCH,
    TRANSACTION,
    UNKNOWN,
    WAITING,
    fill,
    log,
    page_of,
    panels_of,
    refund,
    text_of,
    url,
    wechats_number,
)
from wechatpay_notify.admin import OrderAdmin
from wechatpay_notify.delivery import WHOLLY_REFUNDED
from wechatpay_notify.models import Desk, Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.replay import process_again
from wechatpay_notify.testing import OPENID

pytestmark = pytest.mark.django_db

DESK = "/admin/wechatpay_notify/desk/"
REFUSED = "Refused in the last seven days, by cause"


@pytest.fixture
def filled(client, shipped, unexpected):
    fill(client, shipped)


@pytest.fixture
def clerk(permitted):
    """Who may look for payments and see everything but openids."""
    return permitted("view_desk", *(f"view_{model._meta.model_name}" for model in MODELS))


def desk(client, typed=""):
    response = client.get(DESK, {"q": typed} if typed else {})
    assert response.status_code == 200
    return response.content.decode()


def found_order(client, typed):
    """The order whose page the box leads to; None for a page of results."""
    response = client.get(DESK, {"q": typed})
    if response.status_code == 200:
        return None
    assert response.status_code == 302
    return next(order for order in Order.objects.all() if response["Location"] == url(Order, "change", order.pk))


def named(number):
    return Order.objects.get(out_trade_no=number)


def section_of(html, title):
    """The words of the panel whose title begins so."""
    for block in re.findall(r"<section.*?</section>", html, re.DOTALL):
        if re.search(rf"<h2[^>]*>{re.escape(title)}", block):
            return text_of(block)
    raise AssertionError(f"no panel {title!r}")


# One box


def numbers_of_paid():
    order = named(PAID)
    return [PAID, TRANSACTION, f"cart-{PAID}", str(order.public_id), OPENID_OF_PAID, "COMBI-1"]


OPENID_OF_PAID = "oXyZ0123456789abcdefghijAbCd"


@pytest.mark.parametrize("pasted", ["{}", "  {}\n", "商户单号：{}", "Transaction: {}.", "\u200b{}\u200b"])
def test_any_number_of_an_order_leads_to_its_page(clerk, filled, pasted):
    Order.objects.filter(out_trade_no=PAID).update(openid=OPENID_OF_PAID, combine_out_trade_no="COMBI-1")
    for number in numbers_of_paid():
        assert found_order(clerk, pasted.format(number)) == named(PAID)


def test_the_openid_that_a_sub_merchant_knows_finds_too(clerk, filled):
    Order.objects.filter(out_trade_no=PAID).update(sub_openid=OPENID_OF_PAID)
    assert found_order(clerk, OPENID_OF_PAID) == named(PAID)


@pytest.mark.parametrize("number", [BACK, wechats_number(BACK), STUCK, TOO_MUCH])
def test_a_refund_number_leads_to_its_order_even_if_the_refund_was_refused(clerk, filled, number):
    assert found_order(clerk, number) == named(REFUNDED)


def test_an_unrecorded_refund_is_looked_for_among_the_newest_notifications_only(clerk, filled, monkeypatch):
    monkeypatch.setattr("wechatpay_notify.admin.refunds.LOOKED_THROUGH", 1)
    assert found_order(clerk, TOO_MUCH) == named(REFUNDED)
    old = log(out_refund_no=TOO_MUCH)
    NotificationLog.objects.filter(pk=old.pk).update(received_at=old.received_at - timedelta(days=1))
    refund(f"{TOO_MUCH}-again", 401).post(clerk, NOTIFY)
    assert found_order(clerk, f"{TOO_MUCH}-again") == named(REFUNDED)
    assert panels_of(desk(clerk, TOO_MUCH)) == []


def test_both_numbers_pasted_with_their_labels_lead_to_the_order(clerk, filled):
    assert found_order(clerk, f"交易单号\n{TRANSACTION}\n商户单号\n{PAID}") == named(PAID)


def test_full_width_digits_find_too(clerk, filled):
    assert found_order(clerk, TRANSACTION.translate({ord("0") + n: 0xFF10 + n for n in range(10)})) == named(PAID)


@pytest.mark.parametrize("gap", [" ", "  ", "\u00a0", "\u3000"])
def test_a_number_in_groups_of_digits_is_found(clerk, filled, gap):
    groups = gap.join(TRANSACTION[at : at + 4] for at in range(0, len(TRANSACTION), 4))
    assert found_order(clerk, groups) == named(PAID)
    assert found_order(clerk, f"交易单号 {groups}") == named(PAID)
    assert found_order(clerk, f"{PAID}{gap}{TRANSACTION}") == named(PAID)


@pytest.mark.parametrize("typed", ["#{}", " # {}", "\uff03{}"])
def test_a_notification_is_found_by_the_number_that_pages_call_it_by(clerk, filled, typed):
    row = log(outcome="signature_invalid")
    response = clerk.get(DESK, {"q": typed.format(row.pk)})
    assert (response.status_code, response["Location"]) == (302, url(NotificationLog, "change", row.pk))
    assert panels_of(desk(clerk, "#999999999999999999")) == []


def test_a_notifications_own_number_leads_nobody_to_what_they_may_not_view(permitted, filled):
    assert panels_of(desk(permitted("view_desk"), f"#{log().pk}")) == []


def test_an_openid_of_several_orders_lists_them_and_shows_it_nowhere(clerk, filled):
    html = desk(clerk, OPENID)
    for number in (PAID, FAILING, REFUNDED):
        assert url(Order, "change", named(number).pk) in html
    assert OPENID not in html
    assert f"Found by {MASKED}" in text_of(html)


def test_a_masked_openid_is_said_to_be_too_little(clerk, filled):
    for typed in (MASKED, "oUpF...eS6o", "oUpF***eS6o"):
        assert "28 characters, without dots" in text_of(desk(clerk, typed))


def test_the_combined_number_finds_each_of_its_orders_even_if_the_shop_did_not_record_it(clerk, shipped):
    for number in ("SUB-1", "SUB-2"):
        Order.objects.expect(out_trade_no=number, amount=50)
    resource = {
        "combine_appid": PLATFORM.appid,
        "combine_mchid": PLATFORM.mchid,
        "combine_out_trade_no": "COMBI-9",
        "sub_orders": [
            PLATFORM.payment_resource(number, 50, amount={"total_amount": 50, "currency": "CNY", "payer_amount": 50})
            for number in ("SUB-1", "SUB-2")
        ],
        "combine_payer_info": {"openid": OPENID},
    }
    PLATFORM.v3("TRANSACTION.SUCCESS", resource).post(clerk, NOTIFY)
    html = desk(clerk, "COMBI-9")
    assert panels_of(html) == ["Order", "Receivers told", "Notifications"]
    for order in Order.objects.all():
        assert url(Order, "change", order.pk) in html


def test_money_of_no_order_is_found_with_its_discrepancy_and_each_delivery(clerk, filled):
    html = desk(clerk, UNKNOWN)
    assert panels_of(html) == ["Discrepancies", "Receivers told", "Notifications"]
    assert url(NotificationLog, "change", log(out_trade_no=UNKNOWN).pk) in html
    assert url(Discrepancy, "change", Discrepancy.objects.get(out_trade_no=UNKNOWN).pk) in html


def test_a_forged_request_that_names_a_transaction_of_another_order_is_shown_beside_it(clerk, filled):
    forged = PLATFORM.payment_v2(REPEATED, 1, transaction_id=TRANSACTION)
    forged.with_body(forged.body.replace(b"<total_fee>", b"<total_fee>9")).post(clerk, NOTIFY)
    assert log(out_trade_no=REPEATED).verified is False
    html = desk(clerk, TRANSACTION)
    for number in (PAID, REPEATED):
        assert url(Order, "change", named(number).pk) in html


def test_two_orders_with_one_reference_are_both_shown(clerk, filled):
    Order.objects.filter(out_trade_no__in=[PAID, REPEATED]).update(reference="cart-9")
    html = desk(clerk, "cart-9")
    for number in (PAID, REPEATED):
        assert url(Order, "change", named(number).pk) in html


def test_nothing_found_says_what_to_check_next(clerk, filled):
    text = text_of(desk(clerk, "SHOP-9999"))
    for said in ("SHOP-9999", "交易单号", "商户单号", "another merchant", "query the payment", "confirm_payment()"):
        assert said in text
    assert "Capital and small letters count" in text
    assert "This one is a 交易单号" not in text
    assert "This one is a 交易单号" in text_of(desk(clerk, "4200009999202611220000000001"))


@pytest.mark.parametrize("typed", [PAID.lower(), PAID[:-1], f"{PAID}0", "%", "' OR 1=1 --", "x" * 9000, "\x00", "0"])
def test_nothing_but_the_whole_number_is_found(clerk, filled, typed):
    assert panels_of(desk(clerk, typed)) == []


@pytest.mark.parametrize("typed", [HOSTILE, f"{HOSTILE} {UNKNOWN}"])
def test_hostile_text_in_the_box_stays_text(clerk, filled, typed):
    html = desk(clerk, typed)
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "49" not in re.findall(r"<h1>.*?</h1>", html, re.DOTALL)[0]
    assert not re.search(r"[\u202e\u200b\x1b\x00]", html.replace(html_of_box(html), ""))


@pytest.mark.parametrize("typed", ["", UNKNOWN, "SHOP-9999"])
def test_the_desk_needs_no_inline_script_or_style(clerk, filled, typed):
    assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)", desk(clerk, typed))


def test_a_notification_id_finds_the_order_and_the_refused_request_that_claims_it(clerk, filled):
    html = desk(clerk, "EV-1001")
    assert url(Order, "change", named(PAID).pk) in html
    assert url(NotificationLog, "change", log(outcome="signature_invalid").pk) in html
    NotificationLog.objects.filter(outcome="signature_invalid").delete()
    assert found_order(clerk, "EV-1001") == named(PAID)


def html_of_box(html):
    return re.search(r'<form class="wechatpay-box".*?</form>', html, re.DOTALL)[0]


def test_the_box_stands_on_each_list_and_page_and_takes_the_cursor_on_the_desk_alone(clerk, filled):
    pages = [clerk.get(url(model, "changelist")).content.decode() for model in MODELS]
    pages += [page_of(clerk, model.objects.first()) for model in MODELS]
    for html in pages:
        box = html_of_box(html)
        assert f'action="{DESK}"' in box
        assert 'role="search"' in box
        assert 'method="get"' in box
        assert "autofocus" not in box
    assert desk(clerk).count("autofocus") == 1


# Who may


def test_without_the_permission_there_is_neither_desk_nor_box(permitted, filled):
    client = permitted("view_order")
    assert client.get(DESK).status_code == 403
    assert client.get(DESK, {"q": PAID}).status_code == 403
    assert 'class="wechatpay-box"' not in client.get(url(Order, "changelist")).content.decode()


def test_a_visitor_is_asked_to_log_in(client, filled):
    assert client.get(DESK, {"q": PAID})["Location"].startswith("/admin/login/")


def test_of_each_kind_only_who_may_view_it_is_shown_any(permitted, filled):
    client = permitted("view_desk", "view_refund")
    html = desk(client, BACK)
    assert panels_of(html) == ["Refunds"]
    assert "You may not view, and so are not shown: Orders," in text_of(html)
    assert [title.partition(" (")[0] for title in panels_of(desk(client))] == ["Abnormal refunds"]
    for page in (desk(client), html, desk(client, "SHOP-9999")):
        note = page.index("You may not view, and so are not shown: Orders, Discrepancies, Signal deliveries, Notif")
        assert note < page.find("wechatpay-panel") or "wechatpay-panel" not in page
        assert note < page.find('class="wechatpay-advice"') or 'class="wechatpay-advice"' not in page
    assert REFUNDED not in re.sub(r"<[^>]*>", "", re.sub(r"<td.*?</td>", "", html, flags=re.DOTALL))


def test_who_may_view_nothing_is_not_told_that_all_is_done(permitted, filled):
    text = text_of(desk(permitted("view_desk")))
    assert "Nothing that you may view needs a person." in text
    assert "Nothing needs a person." not in text
    assert "You may not view, and so are not shown: Orders, Refunds, Discrepancies," in text


def test_who_may_view_everything_is_not_told_of_anything_hidden(clerk, filled):
    for typed in ("", UNKNOWN, "SHOP-9999"):
        assert "You may not view" not in text_of(desk(clerk, typed))


def test_nothing_of_the_desk_can_be_changed_and_it_has_no_other_page(admin_client, filled):
    order = named(PAID)
    for page in ("add/", f"{order.pk}/change/", f"{order.pk}/delete/", f"{order.pk}/history/"):
        assert admin_client.get(DESK + page).status_code == 404


# To do


def test_the_list_says_what_needs_a_person_and_what_to_do(clerk, filled):
    html = desk(clerk)
    assert panels_of(html) == [
        "Discrepancy: unknown order (1)",
        "Discrepancy: another amount (1)",
        "Discrepancy: a refund contradicts the record (1)",
        "Receivers that failed and are tried again (1)",
        "Abnormal refunds (1)",
        REFUSED,
    ]
    mismatch = section_of(html, "Discrepancy: another amount")
    assert f"{SHORT} ￥0.01 (1 fen) ￥10.00 (1000 fen)" in mismatch
    assert "Compare both in the minor unit" in mismatch
    assert "another bank card" in section_of(html, "Abnormal refunds")
    assert url(Refund, "change", Refund.objects.get(out_refund_no=STUCK).pk) in html
    assert url(Discrepancy, "change", Discrepancy.objects.get(out_trade_no=SHORT).pk) in html


def test_refusals_are_told_by_cause_and_probes_apart(clerk, filled):
    probe = PLATFORM.payment_v3(PAID, 1234)
    probe.headers["Wechatpay-Signature"] = "WECHATPAY/SIGNTEST/" + probe.headers["Wechatpay-Signature"]
    probe.post(clerk, NOTIFY)
    assert log(outcome="probe")
    html = desk(clerk)
    told = section_of(html, REFUSED)
    assert "1 probe of WeChat's is not among them: it is to be refused." in told
    assert re.search(r"signature_invalid 1 [\d: -]{19} ", told)
    assert "probe 1" not in told
    assert f"{url(NotificationLog, 'changelist')}?outcome=amount_mismatch" in html


def test_a_failed_receiver_is_no_refusal_and_neither_is_what_was_processed_again(clerk, filled):
    NotificationLog.objects.filter(outcome="").update(outcome="receiver_failed", http_status=503)
    short = log(outcome="amount_mismatch")
    assert process_again(short).outcome == "amount_mismatch"
    newest = log(outcome="amount_mismatch")
    assert newest.replay_of == short.pk
    told = section_of(desk(clerk), REFUSED)
    assert "receiver_failed" not in told
    assert re.search(r"amount_mismatch 1 [\d: -]{19} ", told)
    assert url(NotificationLog, "change", newest.pk) not in desk(clerk)


def test_refusals_of_last_week_are_forgotten(clerk, filled):
    NotificationLog.objects.update(received_at=timezone.now() - timedelta(days=8))
    assert REFUSED not in panels_of(desk(clerk))


def test_a_receiver_that_gave_up_is_listed_until_it_is_called_off(clerk, filled):
    rows = SignalDelivery.objects.filter(order=named(FAILING))
    rows.update(status="gave_up", last_error="Traceback\nRuntimeError: no paper")
    told = section_of(desk(clerk), "Receivers that gave up (1)")
    assert f"shop.ship {FAILING} payment_confirmed" in told
    assert "RuntimeError: no paper" in told
    rows.update(last_error=WHOLLY_REFUNDED)
    assert "gave up" not in text_of(desk(clerk))


def test_a_receiver_that_failed_is_listed_at_once(clerk, filled):
    told = section_of(desk(clerk), "Receivers that failed and are tried again (1)")
    assert f"shop.ship {FAILING} payment_confirmed 1 RuntimeError: the warehouse knows no {MASKED}" in told
    rows = SignalDelivery.objects.filter(order=named(FAILING))
    rows.update(next_attempt_at=timezone.now() - timedelta(minutes=16))
    assert "Receivers that failed and are tried again" not in text_of(desk(clerk))
    assert FAILING in section_of(desk(clerk), "Receivers overdue (1)")


def test_a_paid_order_that_nobody_was_told_of_is_listed(clerk, client):
    Order.objects.expect(out_trade_no="ALONE", amount=5)
    PLATFORM.payment_v3("ALONE", 5).post(client, NOTIFY)
    assert log().outcome == "no_receiver"
    assert "no receiver ALONE" in section_of(desk(clerk), "Paid, and no receiver is connected (1)")


def test_a_receiver_that_nobody_runs_is_listed_after_a_quarter_of_an_hour(clerk, deferred, shipped):
    Order.objects.expect(out_trade_no="LATE", amount=5)
    PLATFORM.payment_v3("LATE", 5).post(clerk, NOTIFY)
    rows, ago = SignalDelivery.objects.all(), timezone.now() - timedelta(minutes=14)
    rows.update(created_at=ago, next_attempt_at=ago)
    assert panels_of(desk(clerk)) == []
    assert "Nothing needs a person." in desk(clerk)
    ago -= timedelta(minutes=2)
    rows.update(created_at=ago, next_attempt_at=ago)
    assert "LATE" in section_of(desk(clerk), "Receivers overdue (1)")
    rows.update(next_attempt_at=timezone.now())  # looked at each minute, and not connected
    assert "LATE" in section_of(desk(clerk), "Receivers that wait (1)")


def test_what_is_resolved_is_off_the_list(clerk, filled):
    Discrepancy.objects.update(resolved_at=timezone.now())
    assert not [title for title in panels_of(desk(clerk)) if "Discrepancy" in title]


def test_of_many_the_newest_are_listed_and_the_rest_is_a_link(clerk, filled):
    rows = [
        Discrepancy(merchant="default", out_trade_no=f"N-{n}", transaction_id=f"T-{n}", reason="conflict", amount=1)
        for n in range(120)
    ]
    Discrepancy.objects.bulk_create(rows)
    html = desk(clerk)
    told = section_of(html, "Discrepancy: transaction of another order (100+)")
    assert "N-119" in told
    assert "N-99 " not in told
    assert f"{url(Discrepancy, 'changelist')}?state=open&amp;reason__exact=conflict" in html


# The count on the admin's index


def listed_as(client, page="/admin/"):
    """The name of the desk in the admin's list of models."""
    html = client.get(page).content.decode()
    return text_of(re.search(rf'<a href="{DESK}"[^>]*>(.*?)</a>', html, re.DOTALL)[1])


def test_the_index_says_how_much_there_is_to_do(clerk, filled):
    assert listed_as(clerk) == "Payment desk (4 to do)"  # three discrepancies and an abnormal refund
    assert listed_as(clerk, "/admin/wechatpay_notify/") == "Payment desk (4 to do)"
    SignalDelivery.objects.filter(order=named(FAILING)).update(status="gave_up")
    assert listed_as(clerk) == "Payment desk (5 to do)"
    Discrepancy.objects.update(resolved_at=timezone.now())
    Refund.objects.filter(out_refund_no=STUCK).update(status="SUCCESS")
    SignalDelivery.objects.update(last_error=WHOLLY_REFUNDED)
    assert listed_as(clerk) == "Payment desk"


def test_the_index_counts_only_what_its_reader_may_view_and_no_further_than_a_hundred(permitted, filled):
    client = permitted("view_desk", "view_refund")
    assert listed_as(client) == "Payment desk (1 to do)"
    order = named(WAITING)
    Refund.objects.bulk_create(
        [Refund(order=order, mchid="1", out_refund_no=f"N-{n}", amount=1, status="ABNORMAL") for n in range(200)]
    )
    assert listed_as(client) == "Payment desk (100+ to do)"


def test_other_pages_neither_count_nor_show_it(clerk, filled):
    with CaptureQueriesContext(connection) as captured:
        assert listed_as(clerk, url(Order, "changelist")) == "Payment desk"
    assert not [query for query in captured if "discrepancy" in query["sql"]]


def test_the_count_takes_one_query_for_each_kind(clerk, filled):
    with CaptureQueriesContext(connection) as captured:
        listed_as(clerk)
    asked = [query["sql"] for query in captured if re.search("FROM .wechatpay_notify", query["sql"])]
    assert len(asked) == 3
    assert all("LIMIT" in sql for sql in asked)


def test_a_database_that_cannot_count_does_not_break_the_index(clerk, filled, monkeypatch):
    rows = Refund._meta.db_table
    monkeypatch.setattr(Refund._meta, "db_table", "not_migrated_yet")
    assert listed_as(clerk) == "Payment desk"
    monkeypatch.setattr(Refund._meta, "db_table", rows)
    assert Order.objects.exists()  # the transaction around it is unharmed


def test_the_label_needs_no_migration():
    out = StringIO()
    call_command("makemigrations", "wechatpay_notify", check=True, dry_run=True, stdout=out)
    assert "No changes detected" in out.getvalue()


def test_the_label_speaks_the_readers_language(filled):
    with translation.override("en"):
        assert str(Desk._meta.verbose_name_plural) == "Payment desk"


# Openids


def test_with_the_permission_an_openid_is_shown_whole_everywhere_and_nothing_else_is(permitted, filled):
    client = permitted("view_desk", "view_openid", *(f"view_{model._meta.model_name}" for model in MODELS))
    assert OPENID in page_of(client, named(PAID))
    html = page_of(client, log(out_trade_no=PAID))
    assert OPENID in html
    assert "but not openids, which you may see" in html
    assert OPENID in page_of(client, SignalDelivery.objects.get(order=named(PAID)))
    assert OPENID in desk(client, OPENID)
    coupon = PLATFORM.v3("COUPON.USE", {"phone_number": "13800138000", "user": {"openid": OPENID}})
    coupon.post(client, NOTIFY)
    html = page_of(client, log())
    assert OPENID in html
    assert "13800138000" not in html


def test_what_one_reader_may_see_the_next_is_not_shown(admin_client, clerk, filled):
    assert OPENID in page_of(admin_client, named(PAID))
    html = page_of(clerk, named(PAID))
    assert OPENID not in html
    assert MASKED in html


# On a site of the host's own, and what it costs

own_site = AdminSite(name="shop")
own_site.register(Order, OrderAdmin)
urlpatterns = [*tests.urls.urlpatterns, path("own/", own_site.urls)]


@pytest.mark.urls(__name__)
def test_a_site_without_the_desk_has_no_box(admin_client, filled):
    html = admin_client.get("/own/wechatpay_notify/order/").content.decode()
    assert 'class="wechatpay-box"' not in html


@pytest.mark.parametrize("typed", [PAID, TRANSACTION, BACK, OPENID, UNKNOWN, "COMBI-1", "SHOP-9999", TOO_MUCH])
def test_a_search_takes_a_bounded_number_of_queries(clerk, filled, typed, django_assert_max_num_queries):
    with django_assert_max_num_queries(24):
        clerk.get(DESK, {"q": typed})


@pytest.fixture
def without_health(monkeypatch):
    """The strip's own queries are counted and explained in test_health.py."""
    monkeypatch.setattr("wechatpay_notify.admin.desk.strip", lambda _: {})


@pytest.mark.usefixtures("without_health")
def test_the_desk_takes_as_many_queries_for_many_rows_as_for_few(clerk, filled, django_assert_max_num_queries):
    Discrepancy.objects.bulk_create(
        Discrepancy(merchant="x", out_trade_no=f"N-{n}", transaction_id=f"{n}", reason="conflict", amount=1)
        for n in range(60)
    )
    with django_assert_max_num_queries(40):
        desk(clerk)


def scans(cursor, sql):
    """What this database says of a query that reads a whole table; a table of few rows it may read as it likes."""
    if connection.vendor == "sqlite":
        cursor.execute(f"EXPLAIN QUERY PLAN {sql}")
        # Not what is counted of a part that was found, nor the newest row, which an index has first.
        return [row[3] for row in cursor.fetchall() if re.match(r"SCAN wechatpay_notify_\w+$", row[3])]
    if connection.vendor == "postgresql":
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {sql}")
        return [row[0] for row in cursor.fetchall() if "Seq Scan" in row[0]]
    cursor.execute(f"EXPLAIN {sql}")
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    whole = [row for row in rows if row["type"] == "ALL" and row["possible_keys"] is None]
    return [row for row in whole if row["table"] and not row["table"].startswith("<")]  # "<derived2>"


@pytest.mark.usefixtures("without_health")
@pytest.mark.parametrize("typed", ["", PAID, BACK, OPENID, UNKNOWN, "SHOP-9999"])
def test_no_query_reads_a_whole_table(clerk, filled, typed):
    with CaptureQueriesContext(connection) as captured:
        clerk.get(DESK, {"q": typed})
    asked = [query["sql"] for query in captured if re.search(r"^SELECT.*FROM .wechatpay_notify", query["sql"])]
    assert asked
    with connection.cursor() as cursor:
        assert {sql: scans(cursor, sql) for sql in asked if scans(cursor, sql)} == {}
