"""T45, T50–T56, T60, T76: questions and sealed events that are not WeChat's get no answer and reach no host code."""

import dataclasses

import pytest
import time_machine

from tests.answers import answer
from tests.attacks import ATTACKER, NOTIFY, V2, V3, cases
from tests.attacks.test_reports import reports  # noqa: F401 (a fixture)
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import NotificationLog, SignalDelivery
from wechatpay_notify.protocol import flatxml, v2
from wechatpay_notify.testing import Signed, xml

pytestmark = pytest.mark.django_db

PARKING = "PARKING_FEE.QUERY_TRANS_INFO"
HMAC = "HMAC-SHA256"
SECRETS = (PLATFORM.api_v2_key, PLATFORM.api_v3_key)
FORGER = PLATFORM.stranger()


def parking(**made):
    return PLATFORM.v3(PARKING, {"out_serial_number": "S-1"}, **made)


def fields_of(signed):
    """The elements of a v2 notice, `sign` included."""
    return flatxml.parse_xml(signed.body, "xml")


def changed(signed, **fields):
    """A v2 notice under the sign it had."""
    return xml(fields_of(signed) | fields)


@pytest.fixture
def asked(settings):
    """The questions that reach the host, which answers all of them."""
    questions = []
    answers = {PARKING: lambda question: questions.append(question) or {"fee": 1}}
    answers[v2.SCAN] = lambda question: questions.append(question) or {"prepay_id": "wx1"}
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ANSWERS": answers}
    return questions


@pytest.fixture
def refused(client, asked, connect):
    """Post something hostile: the ordinary answer, nobody asked, nobody told, one row that is not proven."""
    told = connect(signals.notification_received)

    def post(signed, outcome, version):
        response = signed.post(client, NOTIFY)
        assert (response.status_code, response.content) == answer(version, outcome)
        row = NotificationLog.objects.latest("pk")
        assert (row.outcome, row.verified) == (outcome, False)
        assert not asked
        assert not told.calls
        assert not SignalDelivery.objects.exists()

    return post


def without(header):
    signed = parking()
    return Signed({name: value for name, value in signed.headers.items() if name != header}, signed.body)


FALSE_V3 = {
    "forged": (lambda: FORGER.v3(PARKING, {"out_serial_number": "S-1"}), "signature_invalid"),
    "tampered": (lambda: parking().with_body(parking().body), "signature_invalid"),
    "unsigned": (lambda: without("Wechatpay-Signature"), "unsigned"),
    "another type": (
        lambda: PLATFORM.v3("COUPON.USE", {}).with_body(PLATFORM.v3(PARKING, {}).body),
        "signature_invalid",
    ),
    "old": (lambda: parking(timestamp=1_794_000_000), "stale"),
}
FALSE_V2 = {
    "forged": (lambda: ATTACKER.scan_v2("P-1"), "signature_invalid"),
    "T54 tampered": (lambda: changed(PLATFORM.scan_v2("P-1"), product_id="P-2"), "signature_invalid"),
    "T54 another payer": (lambda: changed(PLATFORM.scan_v2("P-1"), openid="o2"), "signature_invalid"),
    "T51 unsigned": (lambda: changed(PLATFORM.scan_v2("P-1"), sign=""), "unsigned"),
    "T50 contradiction": (lambda: PLATFORM.scan_v2("P-1", sign_type=HMAC, algorithm="MD5"), "algorithm_refused"),
    "T52 the APIv3 key": (
        lambda: dataclasses.replace(PLATFORM, api_v2_key=PLATFORM.api_v3_key).scan_v2("P-1"),
        "signature_invalid",
    ),
    "T56 a product code": (lambda: PLATFORM.scan_v2("P-1", openid="", is_subscribe="", time_stamp="1"), "malformed"),
    "T56 a code with a payer": (lambda: PLATFORM.scan_v2("P-1", time_stamp="1"), "malformed"),
    "T55 a time in the product": (lambda: PLATFORM.scan_v2("P-1&time_stamp=1"), "malformed"),
    "T56 the sign of another shape": (
        lambda: changed(PLATFORM.scan_v2("P-1"), sign=fields_of(PLATFORM.payment_v2("A-1", 100))["sign"]),
        "signature_invalid",
    ),
    "T53 HMAC, said to be MD5": (lambda: PLATFORM.event_v2("CHECK.SUCCESS", {}, algorithm="MD5"), "algorithm_refused"),
    "sealed by one without the v2 key": (
        lambda: dataclasses.replace(PLATFORM, api_v2_key="f" * 32).event_v2("CHECK.SUCCESS", {"state": "x"}),
        "signature_invalid",
    ),
    "sealed content exchanged": (
        lambda: changed(
            PLATFORM.event_v2("CHECK.SUCCESS", {"state": "x"}),
            event_ciphertext=fields_of(PLATFORM.event_v2("CHECK.SUCCESS", {"state": "y"}))["event_ciphertext"],
        ),
        "signature_invalid",
    ),
    "T54 another event": (
        lambda: changed(PLATFORM.event_v2("CHECK.FAIL", {"state": "x"}), event_type="CHECK.SUCCESS"),
        "signature_invalid",
    ),
}


@pytest.mark.parametrize(("make", "outcome"), cases(FALSE_V3))
def test_a_v3_question_that_is_not_wechats_is_not_asked(refused, make, outcome):
    refused(make(), outcome, "v3")


@pytest.mark.parametrize(("make", "outcome"), cases(FALSE_V2))
def test_a_v2_question_or_sealed_event_that_is_not_wechats_is_not_taken(refused, make, outcome):
    refused(make(), outcome, "v2")


def test_t53_a_scan_in_md5_is_not_asked_where_hmac_alone_is_configured(refused, settings, client, asked):
    merchants = {"default": PLATFORM.merchant(V2_SIGN_TYPE=HMAC)}
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"MERCHANTS": merchants}
    refused(PLATFORM.scan_v2("P-1"), "algorithm_refused", "v2")
    PLATFORM.scan_v2("P-1", sign_type=HMAC).post(client, V2)
    assert len(asked) == 1


def test_a_replayed_v3_question_is_stale_after_five_minutes(client, asked):
    with time_machine.travel(1_795_000_000, tick=False):
        signed = parking(timestamp=1_795_000_000)
        assert signed.post(client, V3).status_code == 200
    with time_machine.travel(1_795_000_301, tick=False):
        assert signed.post(client, V3).status_code == 401
    assert len(asked) == 1


def test_a_replayed_scan_is_a_redelivery_that_tells_nobody_again(client, asked, connect):
    told = connect(signals.notification_received)
    signed = PLATFORM.scan_v2("P-1")
    contents = {signed.post(client, V2).content for _ in range(3)}
    assert len(contents) == 3, "each has a nonce of its own"
    assert len(told.calls) == 1


HOSTILE_INSIDE = {
    "T60 DOCTYPE": b"<!DOCTYPE xml><xml><state>USER_PAID</state></xml>",
    "T60 entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><xml><state>&e;</state></xml>',
    "T61 laughs": b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><xml><state>&b;</state></xml>',
    "T58 twice": b"<xml><state>USER_PAID</state><state>x</state></xml>",
    "T58 nested": b"<xml><state><a>x</a></state></xml>",
    "T59 comment": b"<xml><state>USER<!-- -->_PAID</state></xml>",
    "T62 UTF-16": "<xml><state>x</state></xml>".encode("utf-16"),
}


@pytest.mark.parametrize("plaintext", cases(HOSTILE_INSIDE))
def test_sealed_xml_is_read_as_strictly_as_any(client, connect, plaintext):
    told = connect(signals.notification_received)
    box = PLATFORM.encrypt(plaintext, associated_data="")
    sealed = {"event_nonce": box["nonce"], "event_ciphertext": box["ciphertext"]}
    response = PLATFORM.event_v2("CHECK.SUCCESS", {}, **sealed).post(client, V2)
    assert (response.status_code, b"malformed" in response.content) == (200, True)
    assert NotificationLog.objects.get().outcome == "malformed"
    assert not told.calls


@pytest.mark.parametrize("url", [NOTIFY, V2])
def test_no_sealed_event_confirms_an_order(client, order, shipped, url):
    paid = fields_of(PLATFORM.payment_v2(order.out_trade_no, order.amount))
    outside = {name: paid[name] for name in ("out_trade_no", "total_fee", "transaction_id", "return_code")}
    PLATFORM.event_v2("TRANSACTION.SUCCESS", paid, **outside).post(client, url)
    assert NotificationLog.objects.get().outcome == "received"
    order.refresh_from_db()
    assert order.status == "pending"
    assert not shipped.calls


def broken(question):
    raise RuntimeError("the ERP is down")


@pytest.mark.parametrize(
    "answer_for", [broken, lambda _: {"prepay_id": "\ud800"}, lambda _: {"err_code_des": 5}, lambda _: {"a": {1}}]
)
@pytest.mark.parametrize("make", [parking, lambda: PLATFORM.scan_v2("P-1")])
def test_t76_an_answer_that_fails_puts_no_key_into_a_report(client, settings, reports, make, answer_for):  # noqa: F811
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ANSWERS": {PARKING: answer_for, v2.SCAN: answer_for}}
    make().post(client, NOTIFY)
    assert reports or NotificationLog.objects.get().outcome == "received"
    assert not any(secret in text for secret in SECRETS for text in reports)
