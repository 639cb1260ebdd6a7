"""Processing again: stored bytes, a mended key or order, and nothing believed, told or changed that should not be."""

from datetime import datetime, timedelta
from functools import partial
from io import StringIO

import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from tests.answers import outcome
from tests.certificates import SERIAL, certificate
from tests.settings import PLATFORM
from wechatpay_notify import history, signals
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery
from wechatpay_notify.refusals import MAX_STORED_BODY
from wechatpay_notify.replay import MENDABLE, process_again, refused_since, replayable
from wechatpay_notify.testing import Platform

pytestmark = pytest.mark.django_db(transaction=True)

PAID_BY = "4200000001202611220000000001"
OTHER_KEY = "another key of thirty-two letters"[:32]
PAYMENTS = {
    "v3": PLATFORM.payment_v3,
    "v2-md5": PLATFORM.payment_v2,
    "v2-hmac": partial(PLATFORM.payment_v2, sign_type="HMAC-SHA256"),
}
WRONG = {
    "undecryptable": {"API_V3_KEY": OTHER_KEY},
    "unknown_serial": {"PLATFORM_KEYS": {"PUB_KEY_ID_0100000000": PLATFORM.stranger().public_pem()}},
    "signature_invalid": {"PLATFORM_KEYS": {PLATFORM.serial: PLATFORM.stranger().public_pem()}},
    "misconfigured": {"API_V3_KEY": "short"},
}
"""Outcome → the mistake in the merchant's settings that leads to it."""


@pytest.fixture
def order(db):
    return Order.objects.expect(out_trade_no="A-1", amount=100)


@pytest.fixture
def merchant(settings):
    """Change the settings of the merchant; without arguments they are right again."""

    def configure(**entry):
        settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(**entry)}}

    return configure


def payment(make=PLATFORM.payment_v3, number="A-1", amount=100):
    return make(number, amount, transaction_id=PAID_BY)


def newest():
    return NotificationLog.objects.latest("pk")


def every_column():
    return [
        {name: bytes(value) if name == "body" else value for name, value in row.items()}
        for row in NotificationLog.objects.order_by("pk").values()
    ]


def again(row=None):
    """Process the row again (the newest); what was stored before is as it was to the last column."""
    before = every_column()
    replayed = process_again(NotificationLog.objects.get(pk=(row or newest()).pk))
    assert every_column()[: len(before)] == before
    return replayed


@pytest.mark.parametrize("refused", WRONG)
def test_what_a_wrong_key_refused_is_confirmed_days_after_the_key_is_mended(client, order, merchant, shipped, refused):
    merchant(**WRONG[refused])
    signed = payment()
    assert outcome(client, signed) == refused
    merchant(API_V3_KEY=[OTHER_KEY, PLATFORM.api_v3_key])
    with time_machine.travel(datetime.now().astimezone() + timedelta(days=3)):
        replayed = again()
        old, new = NotificationLog.objects.order_by("pk")
        assert replayed.accepted
        assert (replayed.outcome, replayed.detail, replayed.log) == ("confirmed", "", new)
        assert (new.replay_of, new.outcome, new.http_status, new.attempt_estimate) == (old.pk, "confirmed", None, None)
        assert (bytes(new.body), new.headers, new.remote_addr) == (bytes(old.body), old.headers, old.remote_addr)
        assert new.verified
        assert new.out_trade_no == "A-1"
        assert new.received_at - old.received_at >= timedelta(days=3)
        assert new.duration_ms is not None
        assert len(shipped.calls) == 1
        assert shipped.calls[0]["notification"] == new
        order.refresh_from_db()
        assert order.status == "paid"
        assert again(old).outcome == "duplicate"
    assert outcome(client, signed) == "duplicate"
    assert len(shipped.calls) == 1


def test_a_certificate_counts_that_was_valid_when_it_came(client, order, merchant, shipped):
    signing = Platform(serial=SERIAL, mchid=PLATFORM.mchid, api_v3_key=PLATFORM.api_v3_key)
    long_valid, late = certificate(signing.private_key, valid_until=1), certificate(signing.private_key, valid_from=2)
    merchant(**WRONG["unknown_serial"])
    assert outcome(client, payment(signing.payment_v3)) == "unknown_serial"
    row = newest()
    with time_machine.travel(datetime.now().astimezone() + timedelta(days=3)):
        merchant(PLATFORM_KEYS={SERIAL: late})
        assert again(row).outcome == "unknown_serial"
        assert "not valid yet" in again(row).detail
        merchant(PLATFORM_KEYS={SERIAL: long_valid})
        assert again(row).outcome == "confirmed"


@pytest.mark.parametrize("make", PAYMENTS.values(), ids=PAYMENTS)
def test_a_payment_is_confirmed_once_its_order_is_recorded(client, shipped, make):
    assert outcome(client, payment(make)) == "unknown_order"
    assert again().outcome == "unknown_order"
    assert again(NotificationLog.objects.earliest("pk")).outcome == "unknown_order"
    Order.objects.expect(out_trade_no="A-1", amount=100)
    assert again(NotificationLog.objects.earliest("pk")).outcome == "confirmed"
    assert len(shipped.calls) == 1
    assert Discrepancy.objects.get().resolved_at is not None


@pytest.mark.parametrize("make", PAYMENTS.values(), ids=PAYMENTS)
def test_a_payment_is_confirmed_once_the_amount_of_its_order_is_mended(client, shipped, make):
    order = Order.objects.expect(out_trade_no="A-1", amount=99)
    assert outcome(client, payment(make)) == "amount_mismatch"
    Order.objects.filter(pk=order.pk).update(amount=100)
    assert again().outcome == "confirmed"
    assert len(shipped.calls) == 1


def test_what_was_stale_on_arrival_stays_refused(client, order, shipped):
    long_ago = int(timezone.now().timestamp()) - 400
    assert outcome(client, PLATFORM.payment_v3("A-1", 100, timestamp=long_ago)) == "stale"
    replayed = again()
    assert (replayed.outcome, replayed.log, replayed.accepted) == ("stale", None, False)
    assert "old" in replayed.detail
    assert NotificationLog.objects.count() == 1
    assert not shipped.calls


@pytest.mark.parametrize(
    ("signed", "refused"),
    [
        (PLATFORM.stranger().payment_v3("A-1", 100), "signature_invalid"),
        (PLATFORM.payment_v3("A-1", 100).tampered(), "signature_invalid"),
        (PLATFORM.payment_v3("A-1", 100).probe(), "probe"),
        (PLATFORM.payment_v2("A-1", 100).tampered(), "signature_invalid"),
        (PLATFORM.payment_v2("A-1", 100).with_body(b"<xml><sign></sign></xml>"), "unsigned"),
    ],
    ids=["stranger", "tampered", "probe", "v2-tampered", "v2-unsigned"],
)
def test_what_is_forged_stays_refused_and_is_not_stored_again(client, order, shipped, signed, refused):
    assert outcome(client, signed) == refused
    replayed = again()
    assert (replayed.outcome, replayed.log, replayed.accepted) == (refused, None, False)
    assert NotificationLog.objects.count() == 1
    order.refresh_from_db()
    assert order.status == "pending"
    assert not shipped.calls


def test_what_is_proven_and_still_cannot_be_read_is_stored_once_more(client, order, merchant):
    merchant(API_V3_KEY=OTHER_KEY)
    assert outcome(client, payment()) == "undecryptable"
    replayed = again()
    assert (replayed.outcome, replayed.accepted, replayed.log) == ("undecryptable", False, newest())
    assert newest().replay_of is not None


def test_a_body_that_was_cut_cannot_be_processed_again(client, order, merchant):
    merchant(**WRONG["unknown_serial"])
    signed = PLATFORM.payment_v3("A-1", 100, attach="x" * MAX_STORED_BODY)
    assert outcome(client, signed) == "unknown_serial"
    merchant()
    assert "too long" in replayable(newest())
    replayed = again()
    assert (replayed.outcome, replayed.log) == ("unknown_serial", None)
    assert "too long" in replayed.detail


def test_a_body_of_exactly_the_length_that_is_kept_is_whole(client, order, merchant, shipped):
    merchant(**WRONG["unknown_serial"])
    body = payment().body
    signed = PLATFORM.sign_v3(body + b" " * (MAX_STORED_BODY - len(body)))
    assert outcome(client, signed) == "unknown_serial"
    merchant()
    assert again().outcome == "confirmed"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"headers": {}}, "headers"),
        ({"headers": {"Wechatpay-Serial": PLATFORM.serial}}, "headers"),
        ({"body": b""}, "No body"),
        ({"replay_of": 4711}, "#4711"),
    ],
)
def test_what_is_not_whole_says_why_it_cannot_be_processed_again(client, order, merchant, change, why):
    merchant(**WRONG["unknown_serial"])
    outcome(client, payment())
    merchant()
    NotificationLog.objects.update(**change)
    assert why in replayable(newest())
    assert why in again().detail
    assert NotificationLog.objects.count() == 1


def test_a_header_that_was_cut_says_so(client, order):
    signed = payment()
    signed.headers["Wechatpay-Signature"] = "A" * 2000
    outcome(client, signed)
    assert "too long" in replayable(newest())


def test_the_names_of_headers_may_have_any_case(client, order, merchant, shipped):
    merchant(**WRONG["unknown_serial"])
    outcome(client, payment())
    merchant()
    row = newest()
    NotificationLog.objects.update(headers={name.lower(): value for name, value in row.headers.items()})
    assert again().outcome == "confirmed"


def test_a_question_is_not_asked_again(client, settings):
    asked = []
    answers = {"v2.SCAN": lambda question: asked.append(question) or {"prepay_id": "wx1"}}
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ANSWERS": answers}
    PLATFORM.scan_v2("P-1").post(client, "/wechatpay/notify/")
    assert len(asked) == 1
    assert "question" in replayable(newest())
    assert again().log is None
    NotificationLog.objects.update(event_type="")  # as that of a question whose key was wrong
    replayed = again()
    assert (replayed.outcome, replayed.log) == ("received", None)
    assert "question" in replayed.detail
    assert len(asked) == 1
    assert NotificationLog.objects.count() == 1


@pytest.mark.parametrize("api", ["v3", "v2"])
def test_a_refund_that_was_refused_is_recorded_and_told_once(client, order, merchant, shipped, connect, api):
    refunded = connect(signals.refund_confirmed)
    assert outcome(client, payment()) == "confirmed"
    make = PLATFORM.refund_v3 if api == "v3" else PLATFORM.refund_v2
    merchant(**(WRONG["undecryptable"] if api == "v3" else {"API_V2_KEY": OTHER_KEY}))
    refused = outcome(client, make("A-1", 30, total=100, transaction_id=PAID_BY, out_refund_no="R-1"))
    assert refused == ("undecryptable" if api == "v3" else "signature_invalid")
    row = newest()
    merchant()
    assert again(row).outcome == "refunded"
    assert again(row).outcome == "duplicate"
    assert (Refund.objects.get().status, len(refunded.calls)) == ("SUCCESS", 1)
    assert newest().out_refund_no == "R-1"


def test_a_combined_payment_confirms_each_of_its_orders(client, shipped):
    Order.objects.expect(out_trade_no="A-1", amount=100)
    assert outcome(client, PLATFORM.combined_v3("C-1", {"A-1": 100, "A-2": 200})) == "unknown_order"
    Order.objects.expect(out_trade_no="A-2", amount=200)
    row = newest()
    assert again(row).outcome == "confirmed"
    assert sorted(call["order"].out_trade_no for call in shipped.calls) == ["A-1", "A-2"]
    assert again(row).outcome == "duplicate"


def test_an_event_is_told_once_whoever_was_first(client, merchant, connect):
    told = connect(signals.notification_received)
    signed = PLATFORM.v3("COUPON.USE", {"coupon_id": "1"}, notification_id="event-1")
    merchant(**WRONG["unknown_serial"])
    assert outcome(client, signed) == "unknown_serial"
    merchant()
    row = newest()
    assert again(row).outcome == "received"
    assert again(row).outcome == "duplicate"
    assert outcome(client, signed) == "duplicate"
    assert len(told.calls) == 1


def test_only_the_receiver_that_failed_runs_again(client, order, merchant, shipped, connect):
    second = connect(signals.payment_confirmed, "shop.second")
    shipped.failures = [OSError("no stock")]
    merchant(**WRONG["unknown_serial"])
    outcome(client, payment())
    row = newest()
    merchant()
    replayed = again(row)
    assert (replayed.outcome, replayed.accepted) == ("receiver_failed", False)
    assert again(row).outcome == "confirmed"
    assert (len(shipped.calls), len(second.calls)) == (2, 1)


def test_with_a_worker_the_receivers_are_left_to_it(client, order, merchant, shipped, settings):
    merchant(**WRONG["unknown_serial"])
    outcome(client, payment())
    woken = []
    merchant()
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"DELIVERY": lambda: woken.append(True)}
    assert again().outcome == "confirmed"
    assert woken
    assert not shipped.calls
    call_command("wechatpay_deliver", stdout=StringIO())
    assert len(shipped.calls) == 1


@pytest.mark.parametrize("make", PAYMENTS.values(), ids=PAYMENTS)
def test_a_payment_whose_notifications_were_pruned_is_still_a_duplicate(client, order, shipped, make):
    signed = payment(make)
    assert outcome(client, signed) == "confirmed"
    assert outcome(client, signed) == "duplicate"
    NotificationLog.objects.earliest("pk").delete()
    assert again().outcome == "duplicate"
    assert len(shipped.calls) == 1


def test_an_event_that_was_told_is_not_told_again_after_its_notifications_were_pruned(client, merchant, connect):
    told = connect(signals.notification_received)
    signed = PLATFORM.v3("COUPON.USE", {"coupon_id": "1"}, notification_id="event-1")
    merchant(**WRONG["undecryptable"])
    assert outcome(client, signed) == "undecryptable"
    kept = newest()
    assert (kept.notification_id, kept.event_type) == ("event-1", "COUPON.USE")
    merchant()
    assert outcome(client, signed) == "received"
    for row in NotificationLog.objects.exclude(pk=kept.pk):
        NotificationLog.objects.filter(pk=row.pk).update(received_at=row.received_at - timedelta(days=400))
    call_command("wechatpay_prune", stdout=StringIO())
    assert newest() == kept
    assert again(kept).outcome == "duplicate"
    assert len(told.calls) == 1


def test_inside_of_a_transaction_it_is_refused(client, order):
    outcome(client, payment())
    with pytest.raises(RuntimeError), transaction.atomic():
        process_again(newest())


def test_a_merchant_that_is_not_configured_any_more_is_said_so(client, order, settings):
    outcome(client, payment())
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {}}
    replayed = again()
    assert (replayed.outcome, replayed.log) == ("misconfigured", None)
    assert "'default'" in replayed.detail


def test_a_provider_of_merchants_that_raises_is_unavailable(client, order, settings):
    outcome(client, payment())

    def provider(alias):
        raise OSError("secret words")

    settings.WECHATPAY_NOTIFY = {"MERCHANTS": provider}
    replayed = again()
    assert (replayed.outcome, replayed.log) == ("unavailable", None)
    assert "secret" not in replayed.detail


def test_a_resolver_that_raises_leaves_a_row_and_confirms_nothing(client, settings):
    outcome(client, payment())

    def resolver(result):
        raise OSError("down")

    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ORDER_RESOLVER": resolver}
    assert again().outcome == "unavailable"
    assert (newest().outcome, newest().http_status) == ("unavailable", None)


def test_the_policy_of_sources_holds_for_the_address_it_came_from(client, order, shipped, settings):
    policy = {"SOURCE_NETWORKS": ["203.0.113.0/24"], "SOURCE_POLICY": "reject"}
    right = settings.WECHATPAY_NOTIFY
    settings.WECHATPAY_NOTIFY = right | policy
    assert outcome(client, payment()) == "source_refused"
    row = newest()
    assert again(row).outcome == "source_refused"
    settings.WECHATPAY_NOTIFY = right | policy | {"SOURCE_NETWORKS": ["127.0.0.0/8"]}
    assert again(row).outcome == "confirmed"


def test_refused_since_lists_what_a_mend_may_turn_in_the_order_in_which_it_came(client, order, merchant):
    start = timezone.now()
    outcome(client, PLATFORM.payment_v3("A-1", 100).probe())
    merchant(**WRONG["unknown_serial"])
    outcome(client, payment())
    first = newest()
    merchant(API_V3_KEY=OTHER_KEY)
    outcome(client, payment())
    second = newest()
    process_again(second)
    merchant()
    outcome(client, payment(number="A-2"))
    assert [row.pk for row in refused_since(start)] == [first.pk, second.pk, newest().pk]
    assert list(refused_since(timezone.now())) == []
    assert "probe" not in MENDABLE


def test_the_admin_says_that_nobody_was_answered(client, admin_client, order, merchant, shipped):
    merchant(**WRONG["unknown_serial"])
    outcome(client, payment())
    merchant()
    again()
    page = admin_client.get(f"/admin/wechatpay_notify/notificationlog/{newest().pk}/change/").content.decode()
    assert "processed again, no answer" in page
    assert "interrupted" not in page
    listed = admin_client.get("/admin/wechatpay_notify/notificationlog/").content.decode()
    assert "processed again, no answer" in listed
    NotificationLog.objects.filter(pk=newest().pk).update(outcome="")  # its process was killed
    listed = admin_client.get("/admin/wechatpay_notify/notificationlog/?outcome=interrupted").content.decode()
    assert "processed again" not in listed


# The command.


def replay(*arguments):
    out = StringIO()
    call_command("wechatpay_replay", *arguments, stdout=out)
    return out.getvalue()


@pytest.fixture
def user(db):
    return User.objects.create_user("mei")


@pytest.fixture
def refused(client, order, merchant):
    """A payment refused for its serial, whose key was mended since."""
    merchant(**WRONG["unknown_serial"])
    assert outcome(client, payment()) == "unknown_serial"
    merchant()
    return newest()


WHO = ("--user", "mei", "--reason", "the key was mended")


def test_the_command_processes_what_was_refused_since_a_moment(refused, user, shipped):
    assert replay("--since", "2020-01-01 08:00", *WHO) == "1 confirmed\n"
    assert len(shipped.calls) == 1
    assert replay("--since", "2020-01-01", *WHO) == "1 duplicate\n"
    assert replay("--since", "2020-01-01T00:00:00+08:00", "--outcome", "undecryptable", *WHO) == "0 found\n"
    assert replay("--since", "2999-01-01", *WHO) == "0 found\n"


def test_the_command_keeps_who_did_it_and_why_in_the_history_of_row_and_order(
    refused, user, order, shipped, admin_client
):
    replay("--id", refused.pk, *WHO)
    (entry,) = history.of(order)
    assert entry.by == "mei"
    assert entry.message == "Processed again by command: unknown_serial → confirmed. Reason: the key was mended"
    for path in (f"notificationlog/{refused.pk}", f"order/{order.pk}"):
        page = admin_client.get(f"/admin/wechatpay_notify/{path}/history/").content.decode()
        assert "the key was mended" in page


def test_a_dry_run_shows_each_and_does_nothing(refused, client, order):
    outcome(client, PLATFORM.scan_v2("P-1"))
    said = replay("--id", refused.pk, newest().pk, "--dry-run")
    assert f"#{refused.pk} unknown_serial, no order named\n" in said
    assert f"#{newest().pk} no_receiver, no order named (not: It is a question" in said
    assert said.endswith("2 would be processed\n")
    order.refresh_from_db()
    assert order.status == "pending"
    assert NotificationLog.objects.count() == 2


def test_the_command_fails_when_what_is_genuine_was_not_accepted(client, user):
    outcome(client, payment())
    out = StringIO()
    with pytest.raises(CommandError, match="Not all were accepted") as caught:
        call_command("wechatpay_replay", "--since", "2020-01-01", *WHO, stdout=out)
    assert caught.value.returncode == 1
    assert f"#{NotificationLog.objects.earliest('pk').pk} unknown_order" in out.getvalue()


def test_the_command_does_not_fail_over_forgeries_unless_they_are_named(client, order, user):
    outcome(client, PLATFORM.stranger().payment_v3("A-1", 100))
    said = replay("--since", "2020-01-01", *WHO)
    assert said.startswith("1 signature_invalid\n")
    with pytest.raises(CommandError, match="Not all were accepted"):
        replay("--id", newest().pk, *WHO)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["--since", "yesterday", *WHO], "YYYY-MM-DD HH:MM"),
        (["--since", "2026-13-01", *WHO], "YYYY-MM-DD HH:MM"),
        (["--id", "99999", *WHO], "no notification 99999"),
        (["--since", "2020-01-01"], "--user NAME and --reason"),
        (["--since", "2020-01-01", "--user", "mei", "--reason", " "], "--user NAME and --reason"),
        (["--since", "2020-01-01", "--user", "nobody", "--reason", "why"], "no user 'nobody'"),
        (["--since", "2020-01-01", "--outcome", "probe", *WHO], "probe"),
        ([*WHO], "--id"),
        (["--id", "1", "--outcome", "stale", *WHO], "--outcome goes with --since"),
    ],
)
def test_the_command_says_what_is_missing(user, arguments, hint):
    with pytest.raises(CommandError, match=hint):
        replay(*arguments)


# A discrepancy that a person resolves, and the history.


def test_a_discrepancy_is_resolved_once_and_who_was_first_stays_named(client):
    outcome(client, payment())
    seen, same = Discrepancy.objects.get(), Discrepancy.objects.get()
    assert Discrepancy.objects.resolve(seen, by="mei", reason=" refunded by hand ")
    assert not Discrepancy.objects.resolve(same, by="li", reason="too late")
    row = Discrepancy.objects.get()
    assert (row.resolved_by, row.resolution) == ("mei", "refunded by hand")
    assert (seen.resolved_by, seen.resolved_at) == ("mei", row.resolved_at)


@pytest.mark.parametrize(("by", "reason"), [("mei", " "), ("", "why"), ("mei", "x" * 256), ("m" * 151, "why")])
def test_a_discrepancy_is_not_resolved_without_a_reason_that_fits(client, by, reason):
    outcome(client, payment())
    with pytest.raises(ValueError, match="at most"):
        Discrepancy.objects.resolve(Discrepancy.objects.get(), by=by, reason=reason)
    assert Discrepancy.objects.get().resolved_at is None


def test_the_history_of_an_order_has_its_rows_deeds_once_each_in_order(client, order, user, shipped):
    outcome(client, payment())
    delivery, row = SignalDelivery.objects.get(), newest()
    with time_machine.travel(datetime.now().astimezone() - timedelta(days=2)):
        history.record(user.pk, history.about(row), "first")
    history.record(user.pk, history.about(delivery), '["second"]')
    history.record(user.pk, [row], "third")
    history.record(user.pk, [Order.objects.expect(out_trade_no="A-2", amount=1)], "of another")
    assert history.about(row) == [row, order]
    assert [(entry.by, entry.message) for entry in history.of(order)] == [
        ("mei", "first"),
        ("mei", '["second"]'),
        ("mei", "third"),
    ]
