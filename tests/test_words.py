"""Plain words: each outcome says what it means in this very case and what to do, to whoever may see the facts."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from tests import test_admin
from tests.settings import PLATFORM
from tests.test_admin import (
    HOSTILE,
    MASKED,
    NOTIFY,
    log,
    page_of,
    text_of,
    url,
)
from wechatpay_notify import processing, signals
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES
from wechatpay_notify.testing import OPENID

pytestmark = pytest.mark.django_db

TRANSACTION, OTHER = "4200000000202611220000000001", "4200000000202611220000000002"
viewer = test_admin.viewer
CERTIFICATE = "7132D72A03E93CDDF8C03BBD1F37EEDF00000000"


def headline(html):
    """What a page says first."""
    _before, _opened, rest = html.partition('<section class="wechatpay-headline')
    return text_of(rest.partition(">")[2].partition("</section>")[0]).strip()


def said_of(client, row):
    return headline(page_of(client, row))


@pytest.fixture
def configure(settings):
    """Set settings of the app, and of its merchant."""

    def make(merchant=(), **given):
        entry = settings.WECHATPAY_NOTIFY["MERCHANTS"]["default"] | dict(merchant)
        settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"MERCHANTS": {"default": entry}} | given

    return make


@pytest.fixture
def post(client):
    """Post it, and return the row it left."""

    def make(signed):
        signed.post(client, NOTIFY)
        return NotificationLog.objects.latest("pk")

    return make


@pytest.fixture
def order():
    return Order.objects.expect(out_trade_no="A-1", amount=200, reference="cart-1")


def pay(amount=200, number="A-1", transaction_id=TRANSACTION, **fields):
    return PLATFORM.payment_v3(number, amount, transaction_id=transaction_id, **fields)


def refund(amount=200, status="SUCCESS", number="R-1"):
    return PLATFORM.refund_v3("A-1", amount, total=200, transaction_id=TRANSACTION, out_refund_no=number, status=status)


def with_header(signed, name, value):
    signed.headers[name] = value
    return signed


# What is proven


def test_confirmed_names_the_money_and_the_order(admin_client, post, shipped, order):
    said = said_of(admin_client, post(pay()))
    assert said.startswith("The customer's ￥2.00 for order A-1 arrived, and the order is paid.")
    assert "Every receiver has run." in said


def test_confirmed_names_what_is_still_to_run(admin_client, post, shipped, deferred, order):
    said = said_of(admin_client, post(pay()))
    assert "Receivers still to run: shop.ship has not been tried yet" in said


def test_a_duplicate_names_and_links_the_delivery_it_repeats(admin_client, post, shipped, order):
    first = post(pay())
    html = page_of(admin_client, post(pay()))
    moment = timezone.localtime(first.received_at).strftime("%H:%M:%S")
    assert f"The same as #{first.pk}, which came at {moment} (confirmed)" in headline(html)
    assert url(NotificationLog, "change", first.pk) in html.partition("</section>")[0]


def test_a_failed_receiver_is_named_with_its_error_and_its_next_attempt(admin_client, post, shipped, order):
    shipped.failures = [RuntimeError("printer on fire")]
    row = post(pay())
    SignalDelivery.objects.update(next_attempt_at=timezone.now() + timedelta(seconds=5))
    due = timezone.localtime(SignalDelivery.objects.get().next_attempt_at).strftime("%H:%M:%S")
    said = said_of(admin_client, row)
    assert f"shop.ship failed once, last with RuntimeError: printer on fire; it is tried next at {due}." in said


def test_a_receiver_that_failed_then_and_has_run_since_needs_nothing(admin_client, post, shipped, order):
    shipped.failures = [RuntimeError]
    row = post(pay())
    post(pay())
    assert "since then every receiver has run. What to do: Nothing to do." in said_of(admin_client, row)


def test_a_receiver_that_was_given_up_is_not_promised_another_attempt(admin_client, post, shipped, order):
    shipped.failures = [RuntimeError("printer on fire")]
    row = post(pay())
    SignalDelivery.objects.update(status="gave_up", attempts=20)
    assert "shop.ship failed 20 times and is not tried again: RuntimeError: printer" in said_of(admin_client, row)


def test_no_receiver_says_so_and_which_are_connected_by_now(admin_client, post, connect, order):
    row = post(pay())
    assert "no receiver is connected to payment_confirmed" in said_of(admin_client, row)
    connect(signals.payment_confirmed, "shop.late")
    assert "Connected by now: shop.late." in said_of(admin_client, row)


def test_a_question_nobody_answers_is_named(admin_client, post):
    row = post(PLATFORM.v3("PARKING_FEE.QUERY_TRANS_INFO", {"plate_number": "X"}))
    assert "a question that nobody answers: Question: what is the parking fee?" in said_of(admin_client, row)


def test_busy_says_for_what_it_waits(admin_client, post, order):
    assert "Refund R-1 is recorded, but its payment had not been reported" in said_of(admin_client, post(refund()))


def test_an_unknown_order_is_named_with_the_merchant(admin_client, post, unexpected):
    said = said_of(admin_client, post(pay(number="NOBODYS-1")))
    assert f"order NOBODYS-1, which merchant default ({PLATFORM.mchid}) has not recorded" in said
    assert "set ORDER_RESOLVER" in said


def test_an_unknown_order_that_another_merchant_has_is_said_to_be_there(admin_client, post, unexpected):
    Order.objects.expect(out_trade_no="A-1", amount=200, mchid="1999999999")
    said = said_of(admin_client, post(pay()))
    assert "An order of that number is recorded for another merchant, 1999999999" in said


def test_an_unknown_order_that_was_recorded_since_is_said_to_heal(admin_client, post, unexpected):
    row = post(pay())
    Order.objects.expect(out_trade_no="A-1", amount=200)
    said = said_of(admin_client, row)
    assert "Order A-1 was not recorded yet" in said
    assert "next attempt confirms it" in said


def test_a_mismatch_names_both_amounts_and_the_difference(admin_client, post, unexpected, order):
    row = post(pay(100))
    said = said_of(admin_client, row)
    assert said.startswith("WeChat reported ￥1.00 for order A-1 but the order said ￥2.00. The difference is -￥1.00.")
    Order.objects.update(amount=100)
    assert "By now the order says the same" in said_of(admin_client, row)
    post(pay(100))
    assert "It is resolved since." in said_of(admin_client, row)


def test_a_conflict_names_and_links_the_order_that_holds_the_transaction(
    admin_client, post, shipped, unexpected, order
):
    holder = Order.objects.expect(out_trade_no="A-2", amount=200)
    post(pay(number="A-2"))
    row = post(pay())
    assert row.outcome == "conflict"
    html = page_of(admin_client, row)
    assert f"WeChat's transaction {TRANSACTION} already paid another order, A-2." in headline(html)
    assert url(Order, "change", holder.pk) in html.partition("</section>")[0]


def test_a_refund_that_contradicts_the_record_says_how(admin_client, post, shipped, order):
    post(pay())
    post(refund(150))
    said = said_of(admin_client, post(refund(100, number="R-2")))
    assert "Refund R-2 contradicts the record and was not recorded: refunded are 100, left are 50 of 200." in said


def test_money_for_a_closed_order_says_when_it_was_closed(admin_client, post, unexpected, order):
    Order.objects.close(order)
    said = said_of(admin_client, post(pay()))
    closed = timezone.localtime(Order.objects.get().closed_at).strftime("%H:%M:%S")
    assert said.startswith(f"￥2.00 arrived for order A-1 after it was closed ({closed}).")
    assert "Do not ship unasked" in said


def test_money_that_came_twice_names_the_first_transaction(admin_client, post, shipped, unexpected, order):
    post(pay())
    said = said_of(admin_client, post(pay(transaction_id=OTHER)))
    assert f"￥2.00 arrived for order A-1, already paid by transaction {TRANSACTION}." in said
    assert f"refund ￥2.00 of transaction {OTHER}" in said


def test_money_for_what_another_order_paid_names_that_order(admin_client, post, shipped, unexpected, order):
    Order.objects.expect(out_trade_no="A-2", amount=200, reference="cart-1")
    post(pay())
    said = said_of(admin_client, post(pay(number="A-2", transaction_id=OTHER)))
    assert "￥2.00 arrived for order A-2; order A-1 had paid for the same already." in said


def test_money_that_was_refunded_before_says_how_much(admin_client, post, unexpected, order):
    post(refund())
    said = said_of(admin_client, post(pay()))
    assert "after all of it was refunded (￥2.00)" in said
    assert "Do not ship." in said


def test_a_failed_payment_says_in_which_state_and_that_the_order_waits(admin_client, post, connect, order):
    connect(signals.payment_failed, "shop.failed")
    said = said_of(admin_client, post(pay(trade_state="PAYERROR")))
    assert "this payment failed (PAYERROR). No money came." in said
    assert "the customer may pay again" in said


@pytest.mark.parametrize(("status", "tail"), [("SUCCESS", "Nothing to do."), ("ABNORMAL", "Somebody must act")])
def test_a_refund_says_its_number_amount_and_state(admin_client, post, shipped, order, status, tail):
    post(pay())
    said = said_of(admin_client, post(refund(150, status)))
    state = {"SUCCESS": "refunded", "ABNORMAL": "abnormal"}[status]
    assert said.startswith(f"Refund R-1 of ￥1.50: {state}. What to do: {tail}")


def test_a_refund_that_was_abnormal_and_succeeded_since_says_both(admin_client, post, shipped, order):
    post(pay())
    abnormal = post(refund(150, "ABNORMAL"))
    success = post(refund(150))
    said = said_of(admin_client, abnormal)
    assert said.startswith("Refund R-1 of ￥1.50: abnormal then, refunded by now. What to do: Nothing to do.")
    assert said_of(admin_client, success).startswith("Refund R-1 of ￥1.50: refunded. ")


def refund_v2(number, status, amount):
    return PLATFORM.refund_v2("A-1", amount, total=200, transaction_id=TRANSACTION, out_refund_no=number, status=status)


def test_v2_refunds_say_what_each_reported_on_both_pages(
    admin_client, post, shipped, order, django_assert_max_num_queries
):
    post(pay())
    abnormal, success = post(refund_v2("R-1", "CHANGE", 150)), post(refund_v2("R-1", "SUCCESS", 150))
    sentences = {abnormal.pk: "abnormal then, refunded by now.", success.pk: "refunded."}
    html = page_of(admin_client, order)
    for row in (abnormal, success):
        said = f"Refund R-1 of ￥1.50: {sentences[row.pk]}"
        assert said_of(admin_client, row).startswith(said)
        assert said in text_of(html)
    for number in range(2, 9):
        post(refund_v2(f"R-{number}", "SUCCESS", 5))
    with django_assert_max_num_queries(18):
        html = page_of(admin_client, order)
    assert text_of(html).count("of ￥0.05: refunded.") == 7


def test_what_confirms_nothing_says_what_it_announces(admin_client, post):
    said = said_of(admin_client, post(PLATFORM.v3("COUPON.USE", {"stock_id": "9"})))
    assert said.startswith("Genuine, and nothing to confirm: Cash coupon: used.")


@pytest.mark.parametrize(
    ("merchant", "fields", "sentence"),
    [
        ({}, {"mchid": "1999999999"}, f"names mchid 1999999999; configured for merchant default is {PLATFORM.mchid}"),
        (
            {"APPIDS": ["wxours"]},
            {},
            f"names appid {PLATFORM.appid}; configured for merchant default is wxours (APPIDS)",
        ),
    ],
)
def test_another_merchants_payment_says_what_it_names_and_what_is_ours(
    admin_client, post, configure, order, merchant, fields, sentence
):
    configure(merchant)
    assert sentence in said_of(admin_client, post(pay(**fields)))


def test_another_apps_payment_says_with_which_the_order_was_recorded(admin_client, post):
    Order.objects.expect(out_trade_no="A-1", amount=200, appid="wxordered")
    said = said_of(admin_client, post(pay()))
    assert f"The order was recorded with appid wxordered, but it was paid with {PLATFORM.appid}." in said


def test_a_callable_that_raised_is_quoted(admin_client, post, configure):
    def resolver(result):
        raise LookupError("the catalogue is away")

    configure(ORDER_RESOLVER=resolver)
    assert "callable of the shop's failed: LookupError: the catalogue" in said_of(admin_client, post(pay()))


def test_a_bug_of_ours_is_called_one(admin_client, post, monkeypatch):
    monkeypatch.setattr(processing.results, "read", lambda _: 1 / 0)
    assert "by a bug of its own: ZeroDivisionError: division by zero" in said_of(admin_client, post(pay()))


# What was refused


def test_an_unknown_serial_is_named_with_what_is_configured_and_the_mend(admin_client, post):
    row = post(with_header(pay(), "Wechatpay-Serial", CERTIFICATE))
    said = said_of(admin_client, row)
    ours = f"{PLATFORM.serial[:15]}…{PLATFORM.serial[-4:]}"
    assert f"Serial 7132D7…0000 is unknown here. Configured for merchant default: {ours} only." in said
    assert "still signs some callbacks with the platform certificate: add it to PLATFORM_KEYS or finish" in said


def test_a_serial_that_was_added_since_is_said_to_be_known(admin_client, post, configure):
    signed = with_header(pay(), "Wechatpay-Serial", CERTIFICATE)
    row = post(signed)
    keys = {"PUB_KEY_ID_1": PLATFORM.public_pem()}
    configure({"PLATFORM_KEYS": keys | {PLATFORM.serial: PLATFORM.public_pem()}})
    NotificationLog.objects.filter(pk=row.pk).update(headers=signed.headers | {"Wechatpay-Serial": "PUB_KEY_ID_1"})
    assert "by now it is configured for merchant default" in said_of(admin_client, row)


def test_a_public_keys_id_asks_for_the_public_key(admin_client, post, configure):
    said = said_of(admin_client, post(with_header(pay(), "Wechatpay-Serial", "PUB_KEY_ID_0119999999999999")))
    assert "Serial PUB_KEY_ID_0119…9999 is unknown here." in said
    assert "the id of another public key" in said


@pytest.mark.parametrize(
    ("offset", "sentence", "mend"),
    [
        (-3600, "It was signed 3600 s before it came", "this server's clock is fast"),
        (3600, "It says that it was signed 3600 s later than it came", "clock is probably slow"),
    ],
)
def test_a_stale_request_says_by_how_much_and_which_way(admin_client, post, time_machine, offset, sentence, mend):
    time_machine.move_to(timezone.now().replace(microsecond=0), tick=False)
    said = said_of(admin_client, post(pay(timestamp=int(time.time()) + offset)))
    assert sentence in said
    assert "allowed are 300" in said
    assert mend in said


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ("k" * 32, "the one APIv3 key that merchant default has does not open it"),
        (["k" * 32, "l" * 32], "none of the 2 APIv3 keys that merchant default has opens it"),
    ],
)
def test_what_no_key_opens_says_how_many_keys_there_are(admin_client, post, configure, keys, sentence):
    configure({"API_V3_KEY": keys})
    html = page_of(admin_client, post(pay()))
    assert sentence in headline(html)
    assert "kkkk" not in html


def test_a_setting_that_cannot_be_used_is_named_and_said_to_be_mended_since(admin_client, post, configure):
    configure({"API_V3_KEY": "short"})
    row = post(pay())
    assert "The setting API_V3_KEY of merchant default cannot be used: it must be 32 ASCII" in said_of(
        admin_client, row
    )
    configure({"API_V3_KEY": PLATFORM.api_v3_key})
    assert "API_V3_KEY of merchant default could not be used; by now it can." in said_of(admin_client, row)


def refused(outcome):
    """A request that is refused with this outcome."""
    signed = pay()
    return {
        "probe": signed.probe,
        "signature_invalid": signed.tampered,
        "unsigned": lambda: with_header(signed, "Wechatpay-Signature", "") and _without(signed),
        "algorithm_refused": lambda: with_header(signed, "Wechatpay-Signature-Type", "WECHATPAY2-SM2-WITH-SM3"),
        "malformed": lambda: PLATFORM.sign_v3(b"[]"),
        "too_large": lambda: signed.with_body(b"{" * 2000),
        "source_refused": lambda: signed,
    }[outcome]()


def _without(signed):
    del signed.headers["Wechatpay-Signature"]
    return signed


@pytest.mark.parametrize(
    ("outcome", "sentence"),
    [
        ("probe", "WeChat tested whether this shop checks signatures"),
        ("signature_invalid", f"from 127.0.0.1: the signature does not verify with {PLATFORM.serial}."),
        ("unsigned", "carries no signature (missing: Wechatpay-Signature), so nothing says that WeChat sent it"),
        ("algorithm_refused", "not accepted here: Wechatpay-Signature-Type is 'WECHATPAY2-SM2-WITH-SM3'"),
        ("malformed", "What arrived from 127.0.0.1 is no notification of this kind: the body is no JSON object."),
        ("too_large", "larger than the 1500 bytes that are taken"),
        ("source_refused", "but it came from 127.0.0.1, an address that is not listed"),
    ],
)  # fmt: skip
def test_a_refusal_says_what_was_wrong_with_this_request(admin_client, post, configure, outcome, sentence):
    if outcome == "source_refused":
        configure(SOURCE_NETWORKS=["10.0.0.0/8"], SOURCE_POLICY="reject")
    if outcome == "too_large":
        configure(MAX_BODY_BYTES=1500)
    row = post(refused(outcome))
    assert row.outcome == outcome
    assert sentence in said_of(admin_client, row)


@pytest.mark.parametrize(("make", "warned"), [("tampered", True), ("probe", False), ("without", False)])
def test_processing_a_refused_signature_again_warns_that_altered_bytes_stay_refused(
    admin_client, post, order, make, warned
):
    signed = pay(number="NOBODYS-1")
    row = post(signed if make == "without" else getattr(signed, make)())
    selected = {"action": "wechatpay_process", "_selected_action": [row.pk]}
    page = admin_client.post(url(NotificationLog, "changelist"), selected, follow=True)
    said = text_of(page.content.decode())
    assert "The notifications" in said
    assert ("A body that was altered on its way can never verify" in said) is warned


# What is no outcome


def test_a_row_without_an_answer_says_what_went_on_from_it(admin_client, post, shipped, order):
    row = post(pay())
    NotificationLog.objects.filter(pk=row.pk).update(outcome="", http_status=None, duration_ms=None)
    assert "It is being processed at this moment." in said_of(admin_client, row)
    NotificationLog.objects.filter(pk=row.pk).update(received_at=row.received_at - timedelta(minutes=5))
    assert "The process was stopped before it could answer." in said_of(admin_client, row)
    later = post(pay())
    assert f"The process was stopped before it answered; #{later.pk} at " in said_of(admin_client, row)


def test_what_was_processed_again_says_from_which_row_and_that_wechat_was_told_nothing(
    admin_client, post, shipped, order
):
    first = post(pay())
    again = post(pay())
    NotificationLog.objects.filter(pk=again.pk).update(replay_of=first.pk)
    html = page_of(admin_client, again)
    assert f"Processed again here from the stored bytes of #{first.pk}, not sent by WeChat." in headline(html)
    assert "WeChat was answered nothing" in text_of(html)


def test_an_outcome_of_another_release_is_shown_without_words(admin_client, post, shipped, order):
    row = post(pay())
    NotificationLog.objects.filter(pk=row.pk).update(outcome="from_tomorrow")
    assert "Nothing is known of this outcome here." in said_of(admin_client, row)


# Who may read what


@pytest.mark.parametrize(
    ("outcome", "prepare", "secret"),
    [
        ("confirmed", lambda _: None, "￥2.00"),
        ("unknown_order", lambda _: Order.objects.update(mchid="1999999999"), "1999999999"),
        ("amount_mismatch", lambda _: Order.objects.update(amount=777), "￥7.77"),
        ("unexpected", Order.objects.close, "after it was closed"),
    ],
)
def test_without_the_permission_to_see_the_facts_the_general_hint_stands(
    viewer,
    post,
    shipped,
    unexpected,
    order,
    outcome,
    prepare,
    secret,
):
    prepare(order)
    row = post(pay())
    assert row.outcome == outcome
    said = said_of(viewer(NotificationLog), row)
    assert str(OUTCOMES[outcome].hint) in said
    assert secret not in said


def test_a_receivers_error_is_told_to_those_alone_who_may_see_deliveries(viewer, post, shipped, order):
    shipped.failures = [RuntimeError("printer on fire")]
    row = post(pay())
    assert "printer" not in page_of(viewer(NotificationLog, Order, Discrepancy), row)


def test_words_mask_what_is_personal_and_spell_out_what_is_odd(viewer, post, shipped, order):
    shipped.failures = [RuntimeError(f"no stock for {OPENID} {HOSTILE}")]
    row = post(pay())
    html = page_of(viewer(NotificationLog, Order, SignalDelivery), row)
    assert MASKED in headline(html)
    assert OPENID not in html
    assert "<script>alert" not in html
    assert "\u202e" not in html


def test_a_hostile_serial_is_text(admin_client, post):
    html = page_of(admin_client, post(with_header(pay(), "Wechatpay-Serial", "<script>alert(1)</script>")))
    assert "Serial <scrip…ipt> is unknown here." in headline(html)
    assert "<script>alert" not in html


def test_every_outcome_has_words_of_its_own():
    from wechatpay_notify.admin.story.words import WORDS

    assert set(WORDS) == set(OUTCOMES)


def test_a_provider_that_fails_does_not_break_the_page(admin_client, post, settings):
    row = post(with_header(pay(), "Wechatpay-Serial", CERTIFICATE))

    def provider(alias):
        raise LookupError("no database of merchants")

    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"MERCHANTS": provider}
    assert str(OUTCOMES["unknown_serial"].hint) in said_of(admin_client, log(pk=row.pk))
