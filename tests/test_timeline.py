"""An order's page: how it stands, what happened to it, what WeChat sent and was answered, to the byte."""

import ast
import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.utils import timezone

from tests import test_admin
from tests.settings import PLATFORM
from tests.test_admin import HOSTILE, MASKED, NOTIFY, log, page_of, panels_of, text_of, url
from tests.test_words import CERTIFICATE, OTHER, TRANSACTION, headline, pay, refund, with_header
from wechatpay_notify import history, processing, replay, signals
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.protocol import moments
from wechatpay_notify.protocol.moments import BEIJING
from wechatpay_notify.testing import OPENID, Signed

pytestmark = pytest.mark.django_db

viewer = test_admin.viewer
BEGIN = datetime(2026, 11, 22, 11, 30, 0, tzinfo=UTC)


@pytest.fixture
def order():
    return Order.objects.expect(out_trade_no="A-1", amount=200, reference="cart-1")


@pytest.fixture
def post(client):
    """Post it, and return the response."""
    return lambda signed: signed.post(client, NOTIFY)


@pytest.fixture
def at(time_machine):
    """Move the clock to so many seconds after the payment."""
    return lambda seconds: time_machine.move_to(BEGIN + timedelta(seconds=seconds), tick=False)


def made(amount=200):
    """A notification that WeChat made at BEGIN, whenever it is sent."""
    resource = PLATFORM.payment_resource("A-1", amount, transaction_id=TRANSACTION)
    created = BEGIN.astimezone(BEIJING).isoformat()
    return PLATFORM.v3("TRANSACTION.SUCCESS", resource, notification_id="EV-1", create_time=created)


def order_page(client):
    return page_of(client, Order.objects.get(out_trade_no="A-1"))


def summary(client):
    return headline(order_page(client))


def stored(_response):
    """The row that a response was given for."""
    return log()


def entries_of(html):
    """The sentences of the timeline, each with its moment, as a person reads them."""
    section = html.partition('<section class="module wechatpay-timeline"')[2].partition("</section>")[0]
    return [text_of(part).strip() for part in section.split("<li>")[1:]]


def blocks_of(html, title):
    """The text blocks under a heading."""
    return [
        unescape(found) for found in re.findall(rf"<h3>{title}</h3>(?:(?!<h3>).)*?<pre>(.*?)</pre>", html, re.DOTALL)
    ]


def decoded(block):
    """The bytes that an escaped block stands for."""
    return ast.literal_eval("b'" + block.replace("\n", "").replace("'", "\\'") + "'")


def clock(moment):
    return timezone.localtime(moment).strftime("%H:%M:%S")


# How it stands


def test_an_order_nobody_paid_says_so_and_whom_to_ask(admin_client, order):
    said = summary(admin_client)
    assert said.startswith("WeChat has reported no payment for this order. What to do: Ask the customer")
    Order.objects.close(order)
    assert "The shop closed this order" in summary(admin_client)


def test_a_paid_order_says_when_how_much_and_that_every_receiver_has_run(admin_client, post, shipped, order):
    post(pay())
    paid = timezone.localtime(Order.objects.get().paid_at).strftime("%Y-%m-%d %H:%M:%S")
    assert summary(admin_client).startswith(f"Paid on {paid}, ￥2.00; every receiver has run.")


def test_a_failing_receiver_is_in_the_first_sentence_with_its_error_and_when_it_is_tried_next(
    admin_client, post, shipped, order, at
):
    shipped.failures = [KeyError("sku"), KeyError("sku"), KeyError("sku")]
    for seconds in (0, 15, 30):
        at(seconds)
        post(made())
    due = clock(BEGIN + timedelta(seconds=60))
    assert summary(admin_client).startswith(
        "Paid, but shop.ship has failed 3 times: KeyError: 'sku'; "
        f"next attempt in 30 s, when WeChat sends again at {due}."
    )


def test_the_next_attempt_is_the_same_wherever_it_is_told(admin_client, post, shipped, order, at):
    shipped.failures = [KeyError("sku"), KeyError("sku")]
    for seconds in (0, 15):
        at(seconds)
        post(made())
    SignalDelivery.objects.update(next_attempt_at=BEGIN)  # long due, and no worker runs
    said = f"when WeChat sends again at {clock(BEGIN + timedelta(seconds=30))}."
    html = order_page(admin_client)
    assert f"next attempt in 15 s, {said}" in headline(html)
    (receiver,) = [entry for entry in entries_of(html) if "delivery #" in entry]
    assert f"failed 2 times at the payment: KeyError: 'sku'. Next attempt {said}" in receiver
    assert any(f"it is tried next {said}" in entry for entry in entries_of(html) if "notification #" in entry)
    assert f"it is tried next {said}" in headline(page_of(admin_client, NotificationLog.objects.latest("pk")))
    SignalDelivery.objects.update(next_attempt_at=BEGIN + timedelta(seconds=20))
    assert f"Next attempt at {clock(BEGIN + timedelta(seconds=20))}." in text_of(order_page(admin_client))


def test_no_moment_that_is_over_is_promised(admin_client, post, shipped, order, deferred):
    post(pay())
    html = order_page(admin_client)
    assert "shop.ship is still to be told of the payment: as soon as wechatpay_deliver runs." in text_of(html)
    said = headline(page_of(admin_client, log()))
    assert "shop.ship has not been tried yet; it is tried as soon as wechatpay_deliver runs." in said


def test_a_receiver_that_was_given_up_is_in_the_first_sentence(admin_client, post, shipped, order):
    shipped.failures = [KeyError("sku")]
    post(pay())
    SignalDelivery.objects.update(status="gave_up", attempts=20)
    assert summary(admin_client).startswith("Paid, but shop.ship has failed 20 times and is not tried again: KeyError")


def test_a_payment_nobody_was_told_of_says_so(admin_client, post, order):
    post(pay())
    assert summary(admin_client).startswith("Paid, but nobody was told: no receiver is connected.")


def test_receivers_that_wait_for_the_worker_are_counted(admin_client, post, connect, deferred, order):
    for name in ("shop.ship", "shop.mail"):
        connect(signals.payment_confirmed, name)
    post(pay())
    assert summary(admin_client).startswith("Paid; 2 receivers are still to run.")


def test_another_amount_is_in_the_first_sentence(admin_client, post, unexpected, order):
    post(pay(100))
    assert summary(admin_client).startswith("WeChat reported ￥1.00 but the order says ￥2.00.")


def test_money_for_a_closed_order_is_in_the_first_sentence(admin_client, post, unexpected, order):
    Order.objects.close(order)
    post(pay())
    assert "￥2.00 arrived for order A-1 after it was closed" in summary(admin_client)


def test_a_second_payment_is_in_the_first_sentence_until_it_is_resolved(admin_client, post, shipped, unexpected, order):
    post(pay())
    post(pay(transaction_id=OTHER))
    assert f"already paid by transaction {TRANSACTION}" in summary(admin_client)
    Discrepancy.objects.update(resolved_at=timezone.now(), resolved_by="li.na", resolution="refunded by hand")
    html = order_page(admin_client)
    assert "every receiver has run" in headline(html)
    assert any(
        "li.na resolved the discrepancy (already paid otherwise): refunded by hand" in e for e in entries_of(html)
    )


def resolve():
    Discrepancy.objects.resolve(Discrepancy.objects.get(), by="li.na", reason="refunded by hand")


def test_money_for_a_closed_order_is_not_called_fulfilled_when_somebody_has_dealt_with_it(
    admin_client, post, shipped, unexpected, order
):
    Order.objects.close(order)
    post(pay())
    resolve()
    said = summary(admin_client)
    assert said.startswith("￥2.00 arrived for order A-1 after it was closed")
    assert "li.na has dealt with it: refunded by hand. What to do: Do not ship, unless that is" in said
    assert "receiver" not in said


def test_who_may_not_see_discrepancies_is_told_all_the_same_not_to_ship_a_closed_order(
    viewer, post, shipped, unexpected, order
):
    Order.objects.close(order)
    post(pay())
    said = summary(viewer(Order, SignalDelivery))
    assert "but the order was closed before it arrived. What to do: Do not ship" in said


def test_an_order_whose_like_was_paid_first_is_not_called_fulfilled(viewer, admin_client, post, unexpected, shipped):
    for number, transaction_id in (("A-2", OTHER), ("A-1", TRANSACTION)):
        Order.objects.expect(out_trade_no=number, amount=200, reference="cart-1")
        post(pay(number=number, transaction_id=transaction_id))
    assert "another order had paid for the same already. What to do: Do not ship" in summary(viewer(Order))
    resolve()
    assert "order A-2 had paid for the same already. li.na has dealt with it" in summary(admin_client)


def test_refunds_are_in_the_first_sentence(admin_client, post, shipped, order):
    post(pay())
    post(refund(50))
    assert "every receiver has run. Refunded of it: ￥0.50." in summary(admin_client)
    post(refund(150, number="R-2"))
    assert "all of it was refunded" in summary(admin_client)


def test_a_failed_payment_is_in_the_first_sentence(admin_client, post, order):
    post(pay(trade_state="PAYERROR"))
    assert "this payment failed (PAYERROR)" in summary(admin_client)


def test_a_notification_that_could_not_be_processed_is_in_the_first_sentence(admin_client, post, order, settings):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ORDER_RESOLVER": "no.such.module"}
    Order.objects.update(out_trade_no="A-9")
    post(pay())
    Order.objects.update(out_trade_no="A-1")
    assert "callable of the shop's failed" in summary(admin_client)


def test_a_refusal_that_claims_the_order_is_in_the_first_sentence(admin_client, post, order):
    post(PLATFORM.payment_v2("A-1", 200).tampered())
    said = summary(admin_client)
    assert said.startswith("WeChat has reported no payment that is proven; what claims this order was refused.")
    assert "the key of this merchant is wrong" in said


# What happened


def test_the_timeline_tells_the_story_the_newest_first(admin_client, post, shipped, unexpected, order):
    shipped.failures = [RuntimeError("printer on fire")]
    signed = pay()
    post(signed)
    post(signed)
    post(refund(50))
    story = entries_of(order_page(admin_client))
    moments = [entry[:19] for entry in story]
    assert moments == sorted(moments, reverse=True)
    text = "\n".join(story)
    for sentence in (
        "recorded The shop recorded the order, ￥2.00 to be paid.",
        "paid Paid: ￥2.00, as WeChat's notification says.",
        "receiver_failed It is recorded. A receiver failed then; since then every receiver has run.",
        "confirmed The customer's ￥2.00 for order A-1 arrived",
        "✓ done shop.ship was told of the payment and did its part.",
        "tried 2 times",
        "refunded Refund of ￥0.50: the money is back with the customer.",
    ):
        assert sentence in text
    assert story[-1].endswith("to be paid.")


@pytest.mark.parametrize(
    ("after", "story", "reported"),
    [
        (0.6, ["recorded", "closed", "paid", "unexpected"], False),  # in the second that WeChat's clock names
        (5.0, ["recorded", "paid", "closed", "unexpected"], True),
    ],
)
def test_an_order_that_was_closed_and_then_paid_tells_it_in_this_order(
    admin_client, post, unexpected, at, after, story, reported
):
    at(-10)
    order = Order.objects.expect(out_trade_no="A-1", amount=200)
    at(after)
    Order.objects.close(order)
    at(after + 0.3)
    post(pay(success_time=BEGIN.astimezone(BEIJING).isoformat()))
    entries = entries_of(order_page(admin_client))[::-1]
    badges = [entry[len("2026-11-22 19:30:00") :].split()[0] for entry in entries]
    assert [badge for badge in badges if badge in story] == story
    (paid,) = [entry for entry in entries if "Paid: ￥2.00" in entry]
    assert ("reported after the order was closed" in paid) is reported


@pytest.mark.parametrize(
    ("by", "said"), [("query", "as WeChat answered when it was asked"), ("bill", "as WeChat's bill")]
)
def test_a_payment_that_was_asked_for_says_so(admin_client, post, shipped, order, by, said):
    post(pay())
    Order.objects.update(confirmed_by=by)
    assert any(said in entry for entry in entries_of(order_page(admin_client)))


def test_the_timeline_replaces_the_tables_of_an_order(admin_client, post, shipped, unexpected, order):
    post(pay())
    post(pay(transaction_id=OTHER))
    post(refund(50))
    html = order_page(admin_client)
    assert panels_of(html) == []
    for row in (
        *NotificationLog.objects.all(),
        *SignalDelivery.objects.all(),
        Refund.objects.get(),
        Discrepancy.objects.get(),
    ):
        assert url(type(row), "change", row.pk) in html


def test_a_traceback_is_folded_away_at_its_receiver(admin_client, post, shipped, order):
    shipped.failures = [RuntimeError("printer on fire")]
    post(pay())
    html = order_page(admin_client)
    (traceback,) = blocks_of(html, "Last error")
    assert traceback.startswith("Traceback (most recent call last)")
    assert traceback.rstrip().endswith("RuntimeError: printer on fire")
    assert re.search(r"<details[^>]*>\s*<summary>Traceback", html)


def test_an_attempt_that_was_refused_unproven_stands_beside_those_that_were_not(admin_client, post, shipped, order, at):
    at(0)
    post(with_header(made(), "Wechatpay-Serial", CERTIFICATE))
    at(15)
    post(made())
    story = entries_of(order_page(admin_client))
    (refused,) = [entry for entry in story if "unknown_serial" in entry]
    assert "Serial 7132D7…0000 is unknown here." in refused
    assert "not proven to be WeChat's" in refused
    assert not [entry for entry in story if "never reached" in entry]


def test_what_people_did_is_told_with_who_and_why(admin_client, admin_user, order):
    history.record(admin_user.pk, [order], "Delivered again: the customer is waiting")
    (entry,) = [entry for entry in entries_of(order_page(admin_client)) if "by hand" in entry]
    assert "admin: Delivered again: the customer is waiting" in entry


def test_what_was_processed_again_is_told_as_such(admin_client, post, shipped, unexpected, order):
    first = stored(post(pay(100)))
    Order.objects.update(amount=100)
    replay.process_again(first)
    (again,) = [entry for entry in entries_of(order_page(admin_client)) if "Processed again here" in entry]
    assert f"from the stored bytes of #{first.pk}, not sent by WeChat. The customer's ￥1.00" in again
    assert "HTTP" not in again


def test_a_conflicting_transaction_names_the_other_order(admin_client, post, shipped, unexpected, order):
    Order.objects.expect(out_trade_no="A-2", amount=200)
    post(pay(number="A-2"))
    post(pay())
    assert any("already paid another order, A-2." in entry for entry in entries_of(order_page(admin_client)))


# WeChat's schedule


def test_each_delivery_says_which_attempt_it_was(admin_client, post, shipped, order, at):
    for seconds, number in ((0, 1), (15, 2), (30, 3)):
        at(seconds)
        post(made())
        assert any(f"attempt {number} of 16" in entry for entry in entries_of(order_page(admin_client)))


def test_attempts_that_never_came_are_named_with_the_time_of_the_outage(admin_client, post, shipped, order, at):
    at(240)
    post(made())
    (entry,) = [entry for entry in entries_of(order_page(admin_client)) if "never reached" in entry]
    first, last = clock(BEGIN), clock(BEGIN + timedelta(seconds=60))
    assert (
        f"Attempts 1–4 never reached this site: look at the proxy, or for an outage between {first} and {last}."
        in entry
    )


def test_attempts_that_are_overdue_are_named_though_none_came_since(admin_client, post, unexpected, order, at):
    at(0)
    post(made(100))
    at(190)  # the second is late, but not late enough
    assert "should have come" not in text_of(order_page(admin_client))
    at(200)
    due = [clock(BEGIN + timedelta(seconds=seconds)) for seconds in (15, 30, 60, 240)]
    html = text_of(order_page(admin_client))
    assert f"Attempt 2 should have come at {due[0]} and did not: look at the proxy" in html
    at(430)
    html = text_of(order_page(admin_client))
    assert f"Attempts 2–5 should have come between {due[0]} and {due[3]} and did not: look at the proxy" in html
    assert "(attempt 6 of 16)" in html


def test_an_attempt_that_came_and_was_refused_is_not_called_overdue(admin_client, post, unexpected, order, at):
    at(0)
    post(made(100))
    at(15)
    post(with_header(made(100), "Wechatpay-Serial", CERTIFICATE))
    at(230)  # the third is late
    html = text_of(order_page(admin_client))
    assert f"Attempt 3 should have come at {clock(BEGIN + timedelta(seconds=30))} and did not" in html


def test_nothing_is_overdue_of_what_was_answered_with_success(admin_client, post, shipped, order, at):
    at(0)
    post(made())
    at(7200)
    assert "should have come" not in text_of(order_page(admin_client))


def test_the_next_attempt_and_the_last_are_foretold_while_the_answer_was_a_failure(
    admin_client, post, unexpected, order, at
):
    at(0)
    post(made(100))
    at(10)
    last = timezone.localtime(BEGIN + timedelta(hours=24, minutes=4)).strftime("%Y-%m-%d %H:%M:%S")
    note = f"WeChat sends again at {clock(BEGIN + timedelta(seconds=15))} (attempt 2 of 16) and gives up after {last}."
    assert note in text_of(order_page(admin_client))
    at(20)  # it did not come; the one after it is due
    assert f"sends again at {clock(BEGIN + timedelta(seconds=30))} (attempt 3 of 16)" in text_of(
        order_page(admin_client)
    )


def test_nothing_is_foretold_of_what_was_answered_with_success_or_came_since(admin_client, post, shipped, order, at):
    shipped.failures = [RuntimeError]
    at(0)
    post(made())
    assert "WeChat sends again at" in text_of(order_page(admin_client))
    at(15)
    post(made())
    assert "WeChat sends again at" not in text_of(order_page(admin_client))


def test_after_the_last_attempt_it_says_that_wechat_has_given_up(admin_client, post, unexpected, order, at):
    at(0)
    post(made(100))
    at(86_700)
    assert re.search(
        r"WeChat has given up since 2026-11-23 19:34:00|given up since 19:34:00", text_of(order_page(admin_client))
    )


def test_a_forged_claim_of_a_notification_does_not_end_the_forecast(admin_client, post, unexpected, order, at):
    at(0)
    post(made(100))
    at(5)
    post(made().tampered())
    assert "WeChat sends again at" in text_of(order_page(admin_client))


def test_the_schedule_is_wechats():
    schedule = moments.schedule(3, BEGIN + timedelta(seconds=30))
    assert [(moment - BEGIN).total_seconds() for moment in schedule[:5]] == [0, 15, 30, 60, 240]
    assert schedule[15] - BEGIN == timedelta(hours=24, minutes=4)


# To the byte


def sent():
    """Bodies of every kind, and of what a sender may do to one."""
    scanned = PLATFORM.scan_v2("P-1")
    odd = b'{"a": "\xe9\xff", "b": "\\\\ \' \xf0\x9f\x92\xb0"}\r\n\t\x00'
    return {
        "v3": pay(),
        "v3 with a byte order mark": PLATFORM.sign_v3(b"\xef\xbb\xbf" + pay().body),
        "altered": pay().tampered(),
        "odd bytes": Signed(pay().headers, odd),
        "XML without personal values": Signed(scanned.headers, "<xml>\n<a>中\\n</a>\n</xml>\n".encode()),
        "a quote": Signed(pay().headers, b'it\'s "quoted" \\x41 <b>&amp;'),
    }


@pytest.mark.parametrize("kind", sent())
def test_the_escaped_body_is_what_was_posted_to_the_byte(admin_client, post, shipped, order, kind):
    signed = sent()[kind]
    post(signed)
    (block,) = blocks_of(page_of(admin_client, log()), "Body to the byte")
    assert decoded(block) == signed.body


def test_an_orders_page_has_the_bytes_of_what_was_posted_too(admin_client, post, shipped, order):
    signed = pay()
    post(signed)
    html = order_page(admin_client)
    assert decoded(blocks_of(html, "Body to the byte")[0]) == signed.body
    assert f'"transaction_id": "{TRANSACTION}"' in blocks_of(html, "Decrypted resource")[0]
    assert signed.headers["Wechatpay-Signature"] in text_of(html)


def test_bytes_with_personal_values_are_masked_and_said_to_be(viewer, post, shipped, order):
    signed = PLATFORM.payment_v2("A-1", 200)
    assert OPENID.encode() in signed.body
    post(signed)
    html = page_of(viewer(NotificationLog), log())
    (block,) = blocks_of(html, "Body to the byte")
    assert decoded(block).decode(errors="replace") == signed.body.decode().replace(OPENID, MASKED)
    assert "but for the personal values in them, which are masked" in text_of(html)


def test_json_with_personal_values_is_not_shown_to_the_byte(viewer, post):
    post(PLATFORM.sign_v3(f'{{"open\\u0069d": "{OPENID}"}}'.encode()))
    html = page_of(viewer(NotificationLog), log())
    assert blocks_of(html, "Body to the byte") == []
    assert "Not shown: it has personal values." in text_of(html)
    assert OPENID not in html


def answered():
    """Requests, the settings under which they are sent, and the outcome: what WeChat gets back is on the page."""
    v2_pay, event = PLATFORM.payment_v2, {"out_trade_no": "A-1", "state": "USER_PAID"}
    return {
        "v3 success": (pay(), "confirmed"),
        "v2 success": (v2_pay("A-1", 200), "confirmed"),
        "v3 mismatch": (pay(100), "amount_mismatch"),
        "v2 mismatch": (v2_pay("A-1", 100), "amount_mismatch"),
        "v2 event": (PLATFORM.event_v2("CHECK.SUCCESS", event), "received"),
        "v3 refused": (pay().tampered(), "signature_invalid"),
        "v2 refused": (v2_pay("A-1", 200).tampered(), "signature_invalid"),
        "v2 event refused": (PLATFORM.event_v2("CHECK.SUCCESS", event, mch_id="1"), None),
        "v3 malformed": (PLATFORM.sign_v3(b"[]"), "malformed"),
        "v2 refund that waits": (
            PLATFORM.refund_v2("A-1", 200, total=200, transaction_id=TRANSACTION, out_refund_no="R-1"),
            None,
        ),
    }


@pytest.mark.parametrize("kind", answered())
def test_the_answer_shown_is_what_the_client_received_to_the_byte(admin_client, post, shipped, unexpected, order, kind):
    signed, outcome = answered()[kind]
    response = post(signed)
    row = log()
    assert outcome in (None, row.outcome)
    html = page_of(admin_client, row)
    (block,) = blocks_of(html, "Answer")
    assert block.encode() == response.content
    assert f"HTTP {response.status_code}, {response['Content-Type']}; {len(response.content)} bytes" in text_of(html)


def test_a_bug_of_ours_shows_the_answer_it_gave(admin_client, post, monkeypatch, order):
    monkeypatch.setattr(processing.results, "read", lambda _: 1 / 0)
    response = post(PLATFORM.payment_v2("A-1", 200))
    (block,) = blocks_of(page_of(admin_client, log()), "Answer")
    assert (response.status_code, response.content) == (500, block.encode())


def test_the_answer_to_a_question_is_said_to_be_the_shops_own(admin_client, post, settings):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ANSWERS": {"v2.SCAN": lambda _: {"prepay_id": "wx1"}}}
    assert b"wx1" in post(PLATFORM.scan_v2("P-1")).content
    html = page_of(admin_client, log())
    assert blocks_of(html, "Answer") == []
    assert "the body was the shop's own answer, which is not stored" in text_of(html)


def test_a_row_without_an_answer_shows_none(admin_client, post, shipped, order):
    post(pay())
    NotificationLog.objects.update(outcome="", http_status=None)
    assert "No answer was recorded" in text_of(page_of(admin_client, log()))


def test_bodies_are_shown_of_the_newest_few_and_of_small_ones_alone(admin_client, post, shipped, order):
    for _ in range(7):
        post(pay())
    post(pay(note="W" * 20_000))
    html = order_page(admin_client)
    assert html.count("<summary>What WeChat sent</summary>") == 4  # of the newest five but the large one
    assert "W" * 100 not in html
    (block,) = blocks_of(page_of(admin_client, log()), "Body to the byte")
    assert len(decoded(block)) > 20_000


# Who may see what, and what it costs


def test_the_timeline_shows_only_what_its_reader_may_view(viewer, post, shipped, unexpected, order):
    shipped.failures = [RuntimeError("printer on fire")]
    post(pay())
    post(pay(transaction_id=OTHER))
    post(refund(50))
    html = order_page(viewer(Order))
    for model in (NotificationLog, SignalDelivery, Refund, Discrepancy):
        assert url(model, "changelist") not in html
    assert len(entries_of(html)) == 2  # recorded, paid
    assert "printer on fire" not in html
    assert headline(html).startswith("Paid on ")


def test_what_its_reader_may_not_view_is_named(viewer, admin_client, post, shipped, order):
    post(pay())
    said = headline(order_page(viewer(Order, Refund, Discrepancy)))
    assert said.endswith("You may not view, and so are not shown: notifications, signal deliveries.")
    assert "You may not view" not in summary(admin_client)


def test_a_reader_of_orders_alone_is_not_told_that_wechat_reported_nothing(viewer, post, unexpected, order):
    post(pay(100))
    assert headline(order_page(viewer(Order))).startswith("No payment is recorded for this order.")


def test_what_to_do_is_said_at_the_last_attempt_alone(admin_client, post, shipped, order, at):
    shipped.failures = [RuntimeError, RuntimeError]
    for seconds in (0, 15):
        at(seconds)
        post(made())
    said = [entry for entry in entries_of(order_page(admin_client)) if "A developer mends the receiver" in entry]
    assert ["attempt 2 of 16" in entry for entry in said] == [True]


def test_hostile_text_stays_text_in_a_timeline(admin_client, post, shipped, order):
    shipped.failures = [RuntimeError(HOSTILE)]
    post(with_header(pay(attach=HOSTILE), "User-Agent", "<script>alert(1)</script>"))
    html = order_page(admin_client)
    assert "<script>alert" not in html
    assert not re.search(r"[\u202e\u200b\x1b\x00]", html)
    assert "\\u202egpj.exe" in html


def test_an_orders_page_takes_no_more_queries_for_many_events_than_for_few(
    admin_client, post, shipped, unexpected, order, django_assert_max_num_queries
):
    for number in range(60):
        post(pay(transaction_id=f"{TRANSACTION[:-2]}{number:02}"))
    with django_assert_max_num_queries(18):
        html = order_page(admin_client)
    story = entries_of(html)
    assert len([entry for entry in story if "notification #" in entry]) == 50
    assert "all notifications of this number" in text_of(html)


def test_what_a_receiver_says_in_chinese_is_read_in_chinese(admin_client, post, shipped, order):
    shipped.failures = [KeyError("仓库里没有这件商品")]
    post(pay())
    assert "KeyError: '仓库里没有这件商品'" in summary(admin_client)
