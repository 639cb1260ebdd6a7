"""The admin: everything can be found and read, nothing can be changed, nothing hostile gets out of a page."""

import json
import re
from html import unescape

import pytest
from django.contrib.admin import AdminSite
from django.urls import path, reverse
from django.utils import timezone

import tests.urls
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.admin import NotificationLogAdmin, OrderAdmin
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES
from wechatpay_notify.testing import OPENID, xml
from wechatpay_notify.testing.contents import refund_numbers

pytestmark = pytest.mark.django_db

MODELS = [Order, NotificationLog, SignalDelivery, Discrepancy, Refund]
NOTIFY = "/wechatpay/notify/"
PAID, REPEATED, SHORT, UNKNOWN, FAILING = "SHOP-1001", "SHOP-1002", "SHOP-1003", "SHOP-1004", "SHOP-1005"
REFUNDED, WAITING = "SHOP-1006", "SHOP-1007"
TRANSACTION, REFUNDED_OF = "4200000000202611220000000001", "4200000000202611220000000006"
BACK, STUCK, CLOSED, TOO_MUCH, EARLY = "R-1", "R-2", "R-3", "R-4", "R-5"
MASKED = "oUpF…eS6o"
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7|add:7 }}\u202egpj.exe\u200b\x1b[31m"


def fill(client, receiver):
    """One of everything that an admin has to show, really sent."""
    amounts = {PAID: 1234, REPEATED: 500, SHORT: 1000, FAILING: 700, REFUNDED: 900, WAITING: 900}
    for number, amount in amounts.items():
        Order.objects.expect(out_trade_no=number, amount=amount, reference=f"cart-{number}")
    paid = PLATFORM.payment_v3(PAID, 1234, transaction_id=TRANSACTION, notification_id="EV-1001", attach="table 7")
    paid.post(client, NOTIFY)
    paid.post(client, NOTIFY)
    PLATFORM.payment_v2(REPEATED, 500).post(client, NOTIFY)
    PLATFORM.payment_v3(SHORT, 1).post(client, NOTIFY)
    PLATFORM.payment_v2(UNKNOWN, 99).post(client, NOTIFY)
    receiver.failures = [RuntimeError(f"the warehouse knows no {OPENID}")]
    PLATFORM.payment_v3(FAILING, 700, notification_id="EV-1005").post(client, NOTIFY)
    paid.with_body(paid.body + b" ").post(client, NOTIFY)
    PLATFORM.v3(
        "COUPON.USE", {"stock_id": "9", "consume_information": {"sub_openid": OPENID}}, notification_id="EV-1006"
    ).post(client, NOTIFY)
    PLATFORM.payment_v3(REFUNDED, 900, transaction_id=REFUNDED_OF).post(client, NOTIFY)
    for number, amount, status in ((BACK, 200, "SUCCESS"), (STUCK, 300, "ABNORMAL"), (CLOSED, 400, "CLOSED")):
        refund(number, amount, status).post(client, NOTIFY)
    refund(TOO_MUCH, 401).post(client, NOTIFY)
    refund(EARLY, 900, order=WAITING, transaction_id=TRANSACTION[::-1]).post(client, NOTIFY)
    NotificationLog.objects.filter(notification_id="EV-1005").update(http_status=None, outcome="", duration_ms=None)


def refund(number, amount, status="SUCCESS", order=REFUNDED, transaction_id=REFUNDED_OF):
    """A refund notification of an order of 900 fen."""
    numbers = {"transaction_id": transaction_id, "out_refund_no": number}
    return PLATFORM.refund_v3(order, amount, total=900, status=status, **numbers)


def wechats_number(out_refund_no):
    """The refund_id of the refund with this number."""
    return refund_numbers("", "", out_refund_no)["refund_id"]


@pytest.fixture
def filled(client, shipped, unexpected):
    fill(client, shipped)


@pytest.fixture
def viewer(permitted):
    """A client of a member of staff who may view the named models, and nothing else."""
    return lambda *models: permitted(*(f"view_{model._meta.model_name}" for model in models))


def url(model, page, *args):
    return reverse(f"admin:wechatpay_notify_{model._meta.model_name}_{page}", args=args)


def page_of(client, row):
    """The detail page of a row as it stands."""
    response = client.get(url(type(row), "change", row.pk))
    assert response.status_code == 200
    return response.content.decode()


def text_of(html):
    """What a person reads: without markup, one space for each gap."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def fields_of(html):
    """What a page says in each of its fields, by label."""
    label = r"<label[^>]*>([^<]*)</label>(?:(?!<label).)*?"  # not that of the box above, which has an input
    rows = re.findall(label + r"<div class=\"readonly\">(.*?)</div>", html, re.DOTALL)
    return {text_of(label).strip(" :"): text_of(value).strip() for label, value in rows}


def panels_of(html):
    """The titles of the panels of a page."""
    return re.findall(r'id="wechatpay-panel-\d+">(.*?)</h2>', html)


def listed(client, model, **query):
    """The primary keys that a list shows."""
    response = client.get(url(model, "changelist"), query)
    assert response.status_code == 200
    return [row.pk for row in response.context["cl"].result_list]


def log(**fields):
    return NotificationLog.objects.filter(**fields).latest("pk")


# Who may do what


@pytest.mark.parametrize("model", MODELS)
def test_a_superuser_lists_and_opens_every_record(admin_client, filled, model):
    assert listed(admin_client, model) == [row.pk for row in model.objects.order_by("-pk")]
    for row in model.objects.all():
        assert 'class="closelink"' in page_of(admin_client, row)


@pytest.mark.parametrize("model", MODELS)
def test_view_permission_is_enough_to_read(filled, viewer, model):
    client = viewer(model)
    assert listed(client, model)
    page_of(client, model.objects.first())


@pytest.mark.parametrize("model", MODELS)
def test_staff_without_permission_sees_nothing(filled, viewer, model):
    client = viewer()
    assert client.get(url(model, "changelist")).status_code == 403
    assert client.get(url(model, "change", model.objects.first().pk)).status_code == 403
    assert "wechatpay_notify" not in client.get(reverse("admin:index")).content.decode()


@pytest.mark.parametrize("model", MODELS)
def test_nobody_adds_changes_or_deletes(admin_client, filled, model):
    row = model.objects.first()
    before = list(model.objects.order_by("pk").values())
    for page, *args in (("add",), ("change", row.pk), ("delete", row.pk)):
        assert admin_client.post(url(model, page, *args), {"post": "yes", "status": "paid"}).status_code == 403
    action = {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes", "index": "0"}
    admin_client.post(url(model, "changelist"), action)
    assert list(model.objects.order_by("pk").values()) == before


@pytest.mark.parametrize("model", MODELS)
def test_no_button_promises_what_is_refused(admin_client, filled, model):
    html = admin_client.get(url(model, "changelist")).content.decode() + page_of(admin_client, model.objects.first())
    for control in (url(model, "add"), "deletelink", "delete_selected", 'type="submit" value="Save'):
        assert control not in html


def test_a_page_shows_and_links_only_what_its_reader_may_view(filled, viewer):
    client = viewer(NotificationLog)
    html = page_of(client, log(out_trade_no=PAID))
    assert "Other notifications of this number" in html
    assert url(Order, "changelist") not in html
    assert "Receivers told" not in html
    assert "cart-" not in html


# Finding


@pytest.mark.parametrize("number", [PAID, TRANSACTION, f"cart-{PAID}", f"  {TRANSACTION}\n"])
def test_an_order_is_found_by_each_of_its_numbers(admin_client, filled, number):
    assert listed(admin_client, Order, q=number) == [Order.objects.get(out_trade_no=PAID).pk]


def test_an_order_is_found_by_its_public_id_and_by_its_combined_number(admin_client, filled):
    order = Order.objects.get(out_trade_no=PAID)
    Order.objects.filter(pk=order.pk).update(combine_out_trade_no="COMBI-1")
    assert listed(admin_client, Order, q=str(order.public_id)) == [order.pk]
    assert listed(admin_client, Order, q="COMBI-1") == [order.pk]


@pytest.mark.parametrize("number", [PAID, TRANSACTION, "EV-1001", f"cart-{PAID}"])
def test_a_notification_is_found_by_each_of_its_numbers(admin_client, filled, number):
    found = listed(admin_client, NotificationLog, q=number)
    assert set(NotificationLog.objects.filter(out_trade_no=PAID).values_list("pk", flat=True)) <= set(found)
    assert len(found) < NotificationLog.objects.count()


@pytest.mark.parametrize("number", [BACK, wechats_number(BACK)])
def test_a_notification_is_found_by_the_numbers_of_its_refund_without_a_scan(admin_client, filled, number, monkeypatch):
    monkeypatch.setattr("wechatpay_notify.admin.refunds.UNRECORDED", ())
    assert listed(admin_client, NotificationLog, q=number) == [log(out_refund_no=BACK).pk]


def test_a_notification_of_a_refund_that_is_not_recorded_is_found_by_its_number(admin_client, filled):
    assert not Refund.objects.filter(out_refund_no=TOO_MUCH).exists()
    assert listed(admin_client, NotificationLog, q=TOO_MUCH) == [log(outcome="conflict").pk]


@pytest.mark.parametrize("number", [BACK, wechats_number(BACK)])
def test_a_refund_is_found_by_its_own_numbers(admin_client, filled, number):
    assert listed(admin_client, Refund, q=number) == [Refund.objects.get(out_refund_no=BACK).pk]


@pytest.mark.parametrize("number", [REFUNDED, REFUNDED_OF, f"cart-{REFUNDED}"])
def test_a_refund_is_found_by_the_numbers_of_its_order(admin_client, filled, number):
    found = Refund.objects.filter(order__out_trade_no=REFUNDED).order_by("-pk")
    assert listed(admin_client, Refund, q=number) == [row.pk for row in found]


@pytest.mark.parametrize("number", [PAID, TRANSACTION, f"cart-{PAID}"])
def test_a_delivery_is_found_by_the_numbers_of_its_order(admin_client, filled, number):
    found = SignalDelivery.objects.get(order__out_trade_no=PAID)
    assert listed(admin_client, SignalDelivery, q=number) == [found.pk]
    assert listed(admin_client, SignalDelivery, q=found.subject) == [found.pk]


@pytest.mark.parametrize("number", [SHORT, f"cart-{SHORT}"])
def test_a_discrepancy_is_found_by_the_numbers_of_its_order(admin_client, filled, number):
    found = Discrepancy.objects.get(out_trade_no=SHORT)
    assert listed(admin_client, Discrepancy, q=number) == [found.pk]
    assert listed(admin_client, Discrepancy, q=found.transaction_id) == [found.pk]


@pytest.mark.parametrize("model", MODELS)
def test_nothing_but_the_exact_number_is_found(admin_client, filled, model):
    for number in (PAID.lower(), PAID[:-1], f"{PAID}0", f"{PAID} {PAID}", "%", "' OR 1=1 --", "\u202e", "x" * 5000):
        assert listed(admin_client, model, q=number) == []


def test_what_was_paid_after_it_was_closed_is_marked_in_the_list_and_on_its_page(admin_client, client, shipped):
    for number in ("IN-TIME", "TOO-LATE"):
        order = Order.objects.expect(out_trade_no=number, amount=5)
        if number == "TOO-LATE":
            Order.objects.close(order)
        PLATFORM.payment_v3(number, 5).post(client, NOTIFY)
    order.refresh_from_db()
    assert order.status == "paid"
    mark = '<span class="wechatpay-badge wechatpay-warn">was closed</span>'
    assert admin_client.get(url(Order, "changelist")).content.decode().count(mark) == 1
    assert mark in page_of(admin_client, order)
    assert mark not in page_of(admin_client, Order.objects.get(out_trade_no="IN-TIME"))


@pytest.mark.parametrize(
    ("model", "query", "fits"),
    [
        (Order, {"status__exact": "paid"}, lambda row: row.status == "paid"),
        (Order, {"confirmed_by__exact": "notification"}, lambda row: row.confirmed_by == "notification"),
        (NotificationLog, {"api_version__exact": "v2"}, lambda row: row.api_version == "v2"),
        (NotificationLog, {"outcome": "duplicate"}, lambda row: row.outcome == "duplicate"),
        (NotificationLog, {"outcome": "interrupted"}, lambda row: row.http_status is None),
        (NotificationLog, {"outcome": "attention"}, lambda row: row.outcome in ("amount_mismatch", "conflict")),
        (SignalDelivery, {"status__exact": "pending"}, lambda row: row.status == "pending"),
        (Discrepancy, {"reason__exact": "unknown_order"}, lambda row: row.reason == "unknown_order"),
        (Refund, {"status__exact": "ABNORMAL"}, lambda row: row.out_refund_no == STUCK),
        (Discrepancy, {"state": "open"}, lambda row: row.out_trade_no != SHORT),
        (Discrepancy, {"state": "resolved"}, lambda row: row.out_trade_no == SHORT),
    ],
)
def test_a_filter_keeps_what_fits(admin_client, filled, model, query, fits):
    Order.objects.filter(out_trade_no=SHORT).update(amount=1)
    again = log(out_trade_no=SHORT)
    if "state" in query:  # the shop mends its record, WeChat sends again, the discrepancy resolves itself
        resource = again.resource
        PLATFORM.payment_v3(SHORT, 1, transaction_id=resource["transaction_id"]).post(admin_client, NOTIFY)
    order = ("-next_attempt_at", "-pk") if model is SignalDelivery else ("-pk",)
    expected = [row.pk for row in model.objects.order_by(*order) if fits(row)]
    assert expected
    assert listed(admin_client, model, **query) == expected


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (Order, {"openid__startswith": "oUp"}),
        (Order, {"amount__gt": "1"}),
        (SignalDelivery, {"order__openid__startswith": "oUp"}),
        (SignalDelivery, {"payload__contains": "oUp"}),
        (NotificationLog, {"body__contains": "oUp"}),
        (NotificationLog, {"http_status": "200"}),
        (Refund, {"order__openid__startswith": "oUp"}),
    ],
)
def test_no_other_question_can_be_asked_by_url(admin_client, filled, model, query):
    assert admin_client.get(url(model, "changelist"), query).status_code == 400


# What the pages say


def test_the_list_of_notifications_is_no_wider_than_what_matters(filled, viewer):
    response = viewer(NotificationLog).get(url(NotificationLog, "changelist"))
    columns = ("received_at_shown", "outcome_badge", "out_trade_no", "answer", "event_listed")
    assert response.context["cl"].list_display == columns


@pytest.mark.parametrize(
    ("numbers", "decided"), [({"outcome": "confirmed"}, "confirmed"), ({"out_trade_no": FAILING}, "no answer")]
)
def test_the_title_of_a_notification_says_what_was_decided(admin_client, filled, numbers, decided):
    row = log(**numbers)
    title = re.search(r"<title>(.*?)</title>", page_of(admin_client, row), re.DOTALL)[1]
    assert title.strip().startswith(f"#{row.pk} · {decided} |")


def test_the_title_of_another_page_names_its_row(admin_client, filled):
    title = re.search(r"<title>(.*?)</title>", page_of(admin_client, Order.objects.get(out_trade_no=PAID)), re.DOTALL)
    assert title[1].strip().startswith(f"{PAID} |")


def test_an_order_is_not_called_a_sequence_in_chinese(admin_client, filled):
    """Django's own catalogue translates "Order" as 排序."""
    page = admin_client.get(
        url(NotificationLog, "change", log(out_trade_no=PAID).pk), headers={"Accept-Language": "zh-hans"}
    )
    assert '<html lang="zh-hans"' in page.content.decode()
    assert "排序" not in page.content.decode()


def test_a_notification_page_tells_what_was_sent_decided_and_answered(admin_client, filled):
    row = log(out_trade_no=PAID, outcome="duplicate")
    html = page_of(admin_client, row)
    text = text_of(html)
    fields = fields_of(html)
    assert fields["Outcome"] == "duplicate"
    assert f"The same as #{row.pk - 1}" in text
    assert "What to do: Nothing to do." in text
    assert fields["Answer"] == "HTTP 200, SUCCESS"
    assert fields["Attempt (estimate)"] == "1"
    assert fields["Event"] == "v3 TRANSACTION.SUCCESS Payment or deduction succeeded"
    assert fields["Received at"] == timezone.localtime(row.received_at).strftime("%Y-%m-%d %H:%M:%S")
    assert f'"transaction_id": "{TRANSACTION}"' in text
    assert f'"ciphertext": "{json.loads(row.body)["resource"]["ciphertext"]}"' in text
    assert row.headers["Wechatpay-Signature"] in text
    assert f"{len(row.body)} bytes" in text
    assert url(Order, "change", Order.objects.get(out_trade_no=PAID).pk) in html
    assert url(SignalDelivery, "change", SignalDelivery.objects.get(order__out_trade_no=PAID).pk) in html
    siblings = NotificationLog.objects.filter(out_trade_no=PAID).exclude(pk=row.pk)
    assert siblings
    assert all(url(NotificationLog, "change", sibling.pk) in html for sibling in siblings)


@pytest.mark.parametrize(
    ("language", "said"), [("en", "Cash coupon: used"), ("zh-hans", "代金券：已核销"), ("zh-hant", "代金券：已核销")]
)
def test_an_event_is_named_in_the_readers_language(admin_client, filled, language, said):
    told = {"Accept-Language": language}
    row = log(event_type="COUPON.USE")
    page = admin_client.get(url(NotificationLog, "change", row.pk), headers=told).content.decode()
    assert f'<html lang="{language}"' in page
    assert f"v3 COUPON.USE {said}" in fields_of(page).values()  # whatever the label is in that language
    listing = admin_client.get(url(NotificationLog, "changelist"), headers=told).content.decode()
    assert f'<span title="{said}">v3 COUPON<wbr>.USE</span>' in listing


def test_an_event_nobody_knows_is_shown_by_its_type_alone(admin_client, client):
    PLATFORM.v3("MOON.LANDED", {}).post(client, NOTIFY)
    assert fields_of(page_of(admin_client, log()))["Event"] == "v3 MOON.LANDED"


@pytest.mark.parametrize(
    ("number", "meaning", "answer"),
    [
        (SHORT, f"WeChat reported ￥0.01 for order {SHORT}", "HTTP 409, FAIL (rejected)"),
        (
            UNKNOWN,
            f"WeChat reports a payment for order {UNKNOWN}",
            "HTTP 200, FAIL (rejected)",
        ),  # v2 says it in the body
    ],
)
def test_a_refusal_comes_with_its_meaning_and_detail(admin_client, filled, number, meaning, answer):
    row = log(out_trade_no=number)
    text = text_of(page_of(admin_client, row))
    assert meaning in text
    assert row.detail in text
    assert answer in text


def test_an_unproven_request_is_labelled_so(admin_client, filled):
    row = log(outcome="signature_invalid")
    text = text_of(page_of(admin_client, row))
    assert str(OUTCOMES["signature_invalid"].hint) in text
    assert "Decrypted resource" not in text


def test_a_row_without_an_answer_is_labelled_interrupted(admin_client, filled):
    label = "no answer was sent (interrupted); WeChat sends again"
    row = log(http_status=None)
    assert label in text_of(page_of(admin_client, row))
    assert label in text_of(admin_client.get(url(NotificationLog, "changelist")).content.decode())
    assert label not in text_of(page_of(admin_client, log(out_trade_no=PAID)))


def test_a_notification_of_an_unknown_order_says_there_is_none(admin_client, filled):
    text = text_of(page_of(admin_client, log(out_trade_no=UNKNOWN)))
    assert "No order has this number" in text
    assert "shop.unexpected payment_unexpected ○ pending" in text


def test_a_combined_notification_links_each_of_its_orders(admin_client, shipped):
    numbers = ["SUB-1", "SUB-2"]
    for number in numbers:
        Order.objects.expect(out_trade_no=number, amount=50, combine_out_trade_no="COMBI-9")
    resource = {
        "combine_appid": PLATFORM.appid,
        "combine_mchid": PLATFORM.mchid,
        "combine_out_trade_no": "COMBI-9",
        "sub_orders": [
            PLATFORM.payment_resource(number, 50, amount={"total_amount": 50, "currency": "CNY", "payer_amount": 50})
            for number in numbers
        ],
        "combine_payer_info": {"openid": OPENID},
    }
    PLATFORM.v3("TRANSACTION.SUCCESS", resource).post(admin_client, NOTIFY)
    row = log(out_trade_no="COMBI-9")
    html = page_of(admin_client, row)
    for order in Order.objects.all():
        assert order.status == "paid"
        assert url(Order, "change", order.pk) in html
        assert url(NotificationLog, "change", row.pk) in page_of(admin_client, order)


def test_an_order_page_shows_money_receivers_discrepancies_and_notifications(admin_client, filled):
    html = page_of(admin_client, Order.objects.get(out_trade_no=FAILING))
    text = text_of(html)
    assert "￥7.00 (700 fen)" in text
    assert "shop.ship" in text
    assert "✗ pending" in text
    assert "RuntimeError: the warehouse knows no" in text
    assert url(NotificationLog, "change", log(out_trade_no=FAILING).pk) in html
    assert "✓ done" in text_of(page_of(admin_client, Order.objects.get(out_trade_no=PAID)))
    short = page_of(admin_client, Order.objects.get(out_trade_no=SHORT))
    assert url(Discrepancy, "change", Discrepancy.objects.get(out_trade_no=SHORT).pk) in short


def test_a_discrepancy_page_compares_the_amounts_and_says_what_to_do(admin_client, filled):
    row = Discrepancy.objects.get(out_trade_no=SHORT)
    html = page_of(admin_client, row)
    text = text_of(html)
    assert "￥0.01 (1 fen)" in text
    assert "￥10.00 (1000 fen)" in text
    assert "-￥9.99 (-999 fen)" in text
    assert "another amount" in text
    assert str(OUTCOMES["amount_mismatch"].hint) in text
    assert url(Order, "change", row.order_id) in html
    assert url(NotificationLog, "change", log(out_trade_no=SHORT).pk) in html
    assert "shop.unexpected" in text


@pytest.mark.parametrize(("number", "way"), [(SHORT, "By itself"), (PAID, "By somebody")])
def test_a_discrepancy_page_says_how_it_is_resolved(admin_client, filled, number, way):
    PLATFORM.payment_v3(PAID, 1234).post(admin_client, NOTIFY)  # paid twice: nothing heals that
    row = Discrepancy.objects.get(out_trade_no=number)
    assert fields_of(page_of(admin_client, row))["How it is resolved"].startswith(way)


def test_a_resolved_discrepancy_says_by_what(admin_client, filled):
    row = Discrepancy.objects.get(out_trade_no=UNKNOWN)
    Discrepancy.objects.filter(pk=row.pk).update(resolved_at=timezone.now(), resolution="refunded by hand")
    assert fields_of(page_of(admin_client, row))["How it is resolved"] == "refunded by hand"


def test_other_currencies_are_not_shown_as_yuan(admin_client, shipped):
    order = Order.objects.expect(out_trade_no="JP-1", amount=1234, currency="JPY")
    text = text_of(page_of(admin_client, order))
    assert "1234 JPY" in text
    assert "￥" not in text


def test_a_delivery_page_shows_the_whole_traceback_and_the_payload(admin_client, filled):
    text = text_of(page_of(admin_client, SignalDelivery.objects.get(order__out_trade_no=FAILING)))
    assert "Traceback (most recent call last)" in text
    assert f'"out_trade_no": "{FAILING}"' in text
    assert "payment_confirmed:order:" in text


# Refunds


@pytest.mark.parametrize(
    ("number", "state", "to_do"),
    [
        (BACK, "refunded", "The money is back with the customer."),
        (STUCK, "abnormal", "Somebody must act"),
        (CLOSED, "closed", "WeChat gave this refund up"),
    ],
)
def test_a_refund_page_says_how_far_it_has_come_and_what_to_do(admin_client, filled, number, state, to_do):
    row = Refund.objects.get(out_refund_no=number)
    html = page_of(admin_client, row)
    fields = fields_of(html)
    assert (fields["Status"], fields["Order"]) == (state, REFUNDED)
    assert fields["What to do"].startswith(to_do)
    assert fields["Amount"] == f"￥{row.amount // 100}.00 ({row.amount} fen)"
    assert fields["WeChat refund"] == wechats_number(number)
    assert bool(re.match(r"20\d\d-", fields["Refunded at"])) is (state == "refunded")
    assert url(Order, "change", row.order_id) in html
    assert url(NotificationLog, "change", log(out_refund_no=number).pk) in html
    others = NotificationLog.objects.filter(out_trade_no=REFUNDED).exclude(out_refund_no=number)
    assert others
    assert not any(url(NotificationLog, "change", other.pk) in html for other in others)
    assert url(Discrepancy, "change", Discrepancy.objects.get(reason="refund_conflict").pk) in html


def test_a_refund_that_waits_for_its_payment_says_so(admin_client, filled):
    row = Refund.objects.get(out_refund_no=EARLY)
    assert "Nobody is told of it before its payment" in fields_of(page_of(admin_client, row))["What to do"]
    PLATFORM.payment_v3(WAITING, 900, transaction_id=row.transaction_id).post(admin_client, NOTIFY)
    assert fields_of(page_of(admin_client, row))["What to do"] == "The money is back with the customer."


def test_a_refund_the_shop_recorded_itself_is_being_paid_back(admin_client, filled):
    ours = Refund.objects.create(order=Order.objects.get(out_trade_no=REFUNDED), out_refund_no="R-9", amount=1)
    fields = fields_of(page_of(admin_client, ours))
    assert (fields["Status"], fields["WeChat refund"], fields["Refunded at"]) == ("processing", "-", "-")
    assert fields["What to do"].startswith("Wait: WeChat is paying it back")


def test_an_order_page_lists_its_refunds_and_what_is_left(admin_client, filled):
    html = page_of(admin_client, Order.objects.get(out_trade_no=REFUNDED))
    fields = fields_of(html)
    assert (fields["Refunded"], fields["Left to refund"]) == ("￥5.00 (500 fen)", "￥4.00 (400 fen)")
    for row in Refund.objects.all():
        assert (url(Refund, "change", row.pk) in html) is (row.out_refund_no != EARLY)
    waiting = page_of(admin_client, Order.objects.get(out_trade_no=WAITING))
    assert fields_of(waiting)["Left to refund"] == "-"


def test_the_list_of_orders_says_what_was_refunded(admin_client, filled):
    text = text_of(admin_client.get(url(Order, "changelist")).content.decode())
    assert "￥9.00 (900 fen) refunded ￥5.00 (500 fen)" in text
    assert "￥12.34 (1234 fen) cart-" in text


def test_a_notification_page_shows_the_refund_it_names_or_that_there_is_none(admin_client, filled):
    refunded = page_of(admin_client, log(out_refund_no=STUCK))
    links = [url(Refund, "change", row.pk) in refunded for row in Refund.objects.order_by("pk")]
    assert links == [False, True, False, False]
    assert "No refund of this number is recorded." in text_of(page_of(admin_client, log(out_refund_no=TOO_MUCH)))
    assert "Refunds" in panels_of(refunded)
    assert "Refunds" not in panels_of(page_of(admin_client, log(out_trade_no=PAID)))


def test_refunds_are_shown_and_linked_only_to_those_who_may_view_them(filled, viewer):
    client = viewer(Order, NotificationLog, SignalDelivery, Discrepancy)
    about = Discrepancy.objects.get(reason="refund_conflict")
    for row in (Order.objects.get(out_trade_no=REFUNDED), log(out_refund_no=STUCK), about):
        html = page_of(client, row)
        assert url(Refund, "changelist") not in html
        assert "Refunds" not in panels_of(html)


def test_a_refund_page_shows_its_reader_nothing_else(filled, viewer):
    html = page_of(viewer(Refund), Refund.objects.get(out_refund_no=BACK))
    for model in MODELS[:4]:
        assert url(model, "changelist") not in html
    assert panels_of(html) == []


def test_the_discrepancy_of_a_refund_says_whose_amounts_it_compares_and_what_to_do(admin_client, filled):
    row = Discrepancy.objects.get(reason="refund_conflict")
    html = page_of(admin_client, row)
    fields = fields_of(html)
    assert (fields["Amount reported"], fields["Amount of the order"]) == ("￥4.01 (401 fen)", "￥9.00 (900 fen)")
    assert fields["Difference"] == "-"  # a refund is a part of its payment
    assert "Compare the refunds below" in fields["What to do"]
    assert fields["How it is resolved"].startswith("By somebody")
    for number in (BACK, STUCK, CLOSED):
        assert url(Refund, "change", Refund.objects.get(out_refund_no=number).pk) in html
    assert (
        "amount paid" not in text_of(html + admin_client.get(url(Discrepancy, "changelist")).content.decode()).lower()
    )


def test_a_payment_that_was_refunded_before_is_not_to_be_refunded_again(admin_client, filled):
    early = Refund.objects.get(out_refund_no=EARLY)
    PLATFORM.payment_v3(WAITING, 900, transaction_id=early.transaction_id).post(admin_client, NOTIFY)
    row = Discrepancy.objects.get(reason="already_refunded")
    assert "Do not ship" in fields_of(page_of(admin_client, row))["What to do"]


def test_who_was_told_of_a_refund_and_what(admin_client, filled, connect):
    connect(signals.refund_abnormal, "shop.alarm")
    refund("R-8", 10, "ABNORMAL").post(admin_client, NOTIFY)
    row, told = Refund.objects.get(out_refund_no="R-8"), SignalDelivery.objects.get(receiver="shop.alarm")
    html = page_of(admin_client, row)
    assert url(SignalDelivery, "change", told.pk) in html
    assert "shop.alarm refund_abnormal ✓ done" in text_of(html)
    html = page_of(admin_client, told)
    assert url(Refund, "change", row.pk) in html
    assert '"refund_status": "ABNORMAL"' in text_of(html)
    assert url(NotificationLog, "change", log(out_refund_no="R-8").pk) in html


def test_what_must_not_be_fulfilled_any_more_is_no_error(admin_client, filled):
    order = Order.objects.get(out_trade_no=FAILING)
    PLATFORM.refund_v3(FAILING, 700, total=700, transaction_id=order.transaction_id, out_refund_no="R-ALL").post(
        admin_client, NOTIFY
    )
    row = order.deliveries.get()
    html = page_of(admin_client, row)
    assert "Why it is not run" in panels_of(html)
    assert "Last error" not in panels_of(html)
    assert "Not run: the whole payment was refunded before." in html
    assert '<span class="wechatpay-badge wechatpay-quiet">– gave up</span>' in html


# On a site of the host's own


class OwnOrderAdmin(OrderAdmin):
    list_display = ("out_trade_no", "amount_shown")


own_site = AdminSite(name="own")
own_site.register(Order, OwnOrderAdmin)
own_site.register(NotificationLog, NotificationLogAdmin)
urlpatterns = [*tests.urls.urlpatterns, path("own/", own_site.urls)]


@pytest.mark.urls(__name__)
def test_the_classes_serve_on_an_admin_site_of_the_hosts_own(admin_client, filled):
    order = Order.objects.get(out_trade_no=SHORT)
    listing = text_of(admin_client.get("/own/wechatpay_notify/order/").content.decode())
    assert "￥10.00 (1000 fen)" in listing
    html = admin_client.get(f"/own/wechatpay_notify/order/{order.pk}/change/").content.decode()
    assert f"/own/wechatpay_notify/notificationlog/{log(out_trade_no=SHORT).pk}/change/" in html
    assert 'href="/admin/' not in html
    assert "Receivers told" not in html  # SignalDelivery is not registered there


# What the pages keep


@pytest.mark.parametrize("model", MODELS)
def test_no_page_shows_an_openid_or_a_secret(viewer, filled, model):
    client = viewer(*MODELS)
    pages = [page_of(client, row) for row in model.objects.all()]
    pages.append(client.get(url(model, "changelist")).content.decode())
    for secret in (OPENID, PLATFORM.api_v2_key, PLATFORM.api_v3_key):
        assert not [page for page in pages if secret in page]
    if model not in (Discrepancy, Refund):
        assert any(MASKED in page for page in pages)


PERSONAL = "oXyZ0123456789abcdefghijAbCd"


@pytest.mark.parametrize(
    "body",
    [
        f"<xml><openid>{PERSONAL}</openid><sub_openid><![CDATA[{PERSONAL}]]></sub_openid></xml>",
        f"<xml><openid a='b'>\n {PERSONAL} </openid>",
        f"<xml><openid>{PERSONAL}",
        f"<xml><sub_order_list>{{&quot;openid&quot;:&quot;{PERSONAL}&quot;}}</sub_order_list></xml>",
        f'<xml><sub_order_list>{{"order_list":[{{"openid":"{PERSONAL}"}}]}}</sub_order_list></xml>',
        f'{{"payer": {{"sp_openid": "{PERSONAL}", "unionid": "{PERSONAL}"}}, "n": [{{"OpenID": "{PERSONAL}"}}]}}',
        f'{{"payer": {{"sp_openid": "{PERSONAL}"}}, "payer": "twice"}}',
        f'{{"detail": "{{\\"openid\\":\\"{PERSONAL}\\"}}"}}',
        f'{{"open\\u0069d": "{PERSONAL}"}}',
        f'{{"openid": ["{PERSONAL}", 1], "unionid": {{"{PERSONAL}": null}}}}',
        '{"phone_number": 13800138000, "user": {"phone_number": "13800138000"}}',
        "<xml><phone_number>13800138000</phone_number></xml>",
        f"openid={PERSONAL}&phone_number=13800138000",
        f"\xff\xfe openid: {PERSONAL}".encode("latin-1"),
        f"{PERSONAL}, and nothing that names it",
        "<openid>" * 2000 + PERSONAL,
    ],
)
def test_personal_values_are_masked_in_whatever_was_sent(viewer, client, body):
    signed = PLATFORM.sign_v3(body if isinstance(body, bytes) else body.encode())
    signed.with_body(signed.body + b" ").post(client, "/wechatpay/v3/")
    html = page_of(viewer(*MODELS), log())
    assert "…" in html
    assert PERSONAL not in html
    assert "13800138000" not in html


def test_masking_leaves_everything_else_as_it_was_sent(viewer, client, shipped):
    fields = {"openid": PERSONAL, "total_fee": "1", "out_trade_no": "order_20261122_0000000000001", "empty": ""}
    xml(fields).post(client, NOTIFY)
    block = re.search(r"<pre>(<|&lt;)xml.*?</pre>", page_of(viewer(*MODELS), log()), re.DOTALL)[0]
    assert unescape(block.removeprefix("<pre>").removesuffix("</pre>")).splitlines() == [
        "<xml>",
        f"  <openid>{PERSONAL[:4]}…{PERSONAL[-4:]}</openid>",
        "  <total_fee>1</total_fee>",
        "  <out_trade_no>order_20261122_0000000000001</out_trade_no>",
        "  <empty></empty>",
        "</xml>",
    ]


# What the pages survive


@pytest.fixture
def attacked(client, shipped, unexpected):
    """Hostile text wherever a sender can put it, proven and unproven."""
    shipped.failures = [RuntimeError(HOSTILE)]
    Order.objects.expect(out_trade_no=PAID, amount=1, description=HOSTILE, reference="cart-1")
    resource = PLATFORM.payment_resource(PAID, 1, attach=HOSTILE) | {HOSTILE: HOSTILE, "lone": "\ud800", "nul": "\0"}
    sealed = PLATFORM.encrypt(json.dumps(resource).encode())
    envelope = {"id": HOSTILE[:60], "event_type": "TRANSACTION.SUCCESS", "resource": sealed}
    PLATFORM.sign_v3(json.dumps(envelope).encode()).post(client, NOTIFY)
    PLATFORM.v3(HOSTILE, {"out_trade_no": HOSTILE, "transaction_id": HOSTILE}).post(client, NOTIFY)
    forged = {"out_trade_no": HOSTILE[:30], "attach": HOSTILE, "transaction_id": "\u202e<b>", "sign": "0" * 32}
    xml(forged).post(client, NOTIFY)
    order = Order.objects.get()
    hostile = {"out_refund_no": HOSTILE[:64], "transaction_id": HOSTILE[-16:]}
    Refund.objects.bulk_create([Refund(order=order, mchid=order.mchid, amount=1, **hostile)])
    refused = PLATFORM.payment_v3(PAID, 1)
    for name in ("Wechatpay-Serial", "Wechatpay-Nonce", "User-Agent", "Request-ID"):
        refused.headers[name] = "<script>alert(1)</script>"
    refused.post(client, NOTIFY)
    for body in (b"\xff\x00<script>alert(1)</script>", b"[" * 60_000, b"{" * 9, b"", b"1" * 16_000, HOSTILE.encode()):
        refused.with_body(body).post(client, NOTIFY)
        PLATFORM.sign_v3(body).post(client, "/wechatpay/v3/")


@pytest.mark.parametrize("model", MODELS)
def test_hostile_text_stays_text(admin_client, attacked, model):
    pages = [page_of(admin_client, row) for row in model.objects.all()]
    pages.append(admin_client.get(url(model, "changelist")).content.decode())
    for page in pages:
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "<b>" not in page
        assert not re.search(r"[\u202e\u200b\x1b\x00]", page)
    if model is not Discrepancy:
        assert any("&lt;script&gt;alert" in page for page in pages)
        assert any("\\u202egpj.exe" in page for page in pages)


@pytest.mark.parametrize("model", MODELS)
def test_pages_need_no_inline_script_or_style(admin_client, filled, model):
    pages = [page_of(admin_client, model.objects.first()), admin_client.get(url(model, "changelist")).content.decode()]
    for page in pages:
        assert not re.search(r"\sstyle=|<style|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)


# What the pages cost


@pytest.mark.parametrize("model", MODELS)
def test_a_list_takes_as_many_queries_for_many_rows_as_for_few(
    admin_client, shipped, unexpected, model, django_assert_max_num_queries, monkeypatch
):
    monkeypatch.setattr(
        "wechatpay_notify.admin.notifications.strip", lambda _: {}
    )  # its own are counted in test_health.py
    for number in range(12):
        Order.objects.expect(out_trade_no=f"MANY-{number}", amount=5)
        PLATFORM.payment_v3(f"MANY-{number}", 5).post(admin_client, NOTIFY)
        PLATFORM.payment_v3(f"MANY-{number}", 7).post(admin_client, NOTIFY)
        Refund.objects.create(order=Order.objects.latest("pk"), out_refund_no=f"R-{number}", amount=1)
    assert model.objects.count() >= 12
    with django_assert_max_num_queries(4) as captured:  # session, user, count, rows
        assert len(listed(admin_client, model)) >= 12
    assert not [query["sql"] for query in captured if re.search(r'"(body|headers|resource|payload)"', query["sql"])]


@pytest.mark.parametrize("model", MODELS)
def test_a_page_takes_a_bounded_number_of_queries(admin_client, filled, model, django_assert_max_num_queries):
    for row in model.objects.all():
        with django_assert_max_num_queries(16):
            page_of(admin_client, row)


def test_a_list_counts_no_further_than_it_has_to(admin_client, filled, monkeypatch):
    monkeypatch.setattr("wechatpay_notify.admin.readonly.MOST_COUNTED", 3)
    response = admin_client.get(url(NotificationLog, "changelist"))
    assert response.context["cl"].result_count == 3
    assert NotificationLog.objects.count() > 3


def test_the_newest_notification_comes_first_whatever_its_number(admin_client, filled):
    rows = list(NotificationLog.objects.order_by("pk"))
    NotificationLog.objects.filter(pk=rows[0].pk).update(received_at=rows[-1].received_at)
    NotificationLog.objects.filter(pk=rows[-1].pk).update(received_at=rows[0].received_at)
    expected = list(NotificationLog.objects.order_by("-received_at", "-id").values_list("pk", flat=True))
    assert listed(admin_client, NotificationLog) == expected
    assert listed(admin_client, NotificationLog, o="1") == expected


@pytest.mark.parametrize("around", ["https://crm.example/users/%s", "payer=%s&x=1", "%%5B%s%%5D", "u/%s"])
def test_an_openid_is_masked_in_an_address_and_in_a_form(filled, viewer, around):
    row = log(notification_id="EV-1005")
    SignalDelivery.objects.update(last_error=f"HTTPError: {around % OPENID}")
    page = page_of(viewer(*MODELS), SignalDelivery.objects.first())
    assert MASKED in page
    assert OPENID not in page
    assert row.pk


@pytest.mark.parametrize("model", MODELS)
def test_pages_without_time_zones(client, shipped, unexpected, settings, model, admin_client):
    settings.USE_TZ = False
    fill(client, shipped)
    assert listed(admin_client, model)
    for row in model.objects.all():
        page_of(admin_client, row)
    assert admin_client.get(reverse("admin:wechatpay_notify_desk_changelist")).status_code == 200
