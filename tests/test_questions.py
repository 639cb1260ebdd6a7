"""Questions: what WeChat is answered in the body, by whom, and when nobody answers."""

import json

import pytest
from django.db import connection

from tests.answers import answer as plain
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import NotificationLog, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES
from wechatpay_notify.protocol import flatxml, v2
from wechatpay_notify.protocol.types import Notification
from wechatpay_notify.questions import QUESTIONS

pytestmark = pytest.mark.django_db

PARKING = "PARKING_FEE.QUERY_TRANS_INFO"
SCAN = "v2.SCAN"
FEE = {"code": "SUCCESS", "parking_fee": 500, "停车": [1.5, None, {"a": True}]}
CAR = {"out_serial_number": "S-1", "plate_number": "粤A00000"}
V3_QUESTIONS = sorted(set(QUESTIONS) - {SCAN})


def fee(question):
    """An answer that a dotted path names."""
    return FEE


@pytest.fixture
def answers(settings):
    """Set ANSWERS."""

    def use(given):
        settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"ANSWERS": given}

    return use


@pytest.fixture
def told(connect):
    return connect(signals.notification_received, "shop.told")


def parking(**resource):
    return PLATFORM.v3(PARKING, CAR | resource)


def asked_with(version):
    """A question of this version, its event type, and an answer to it."""
    return (parking(), PARKING, FEE) if version == "v3" else (PLATFORM.scan_v2("P-1"), SCAN, {"prepay_id": "wx1"})


@pytest.fixture(params=["v3", "v2"])
def version(request):
    return request.param


def check(client, signed, version, outcome):
    """Post; the answer is the ordinary one of this outcome, and the row says it."""
    response = signed.post(client, f"/wechatpay/{version}/")
    assert (response.status_code, response.content) == plain(version, outcome)
    row = NotificationLog.objects.latest("pk")
    assert (row.outcome, row.http_status) == (outcome, response.status_code)
    return row


def proven_scan(response, key=PLATFORM.api_v2_key, sign_type="MD5"):
    """The fields of an answer to a scan, whose sign is verified as WeChat would."""
    assert (response.status_code, response["Content-Type"]) == (200, "text/xml")
    fields = flatxml.parse_xml(response.content, "xml")
    assert v2.signature(fields, key, sign_type) == fields.pop("sign")
    assert len(fields.pop("nonce_str")) == 32
    return fields


@pytest.mark.parametrize("event_type", V3_QUESTIONS)
@pytest.mark.parametrize("url", ["notify", "v3"])
def test_a_question_is_answered_with_the_hosts_body(client, answers, told, event_type, url):
    questions = []
    answers({event_type: lambda question: questions.append(question) or FEE})
    response = PLATFORM.v3(event_type, CAR, notification_id="EV-1").post(client, f"/wechatpay/{url}/")
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert response.json() == FEE
    (question,) = questions
    assert isinstance(question, Notification)
    assert (question.version, question.event_type, question.resource) == ("v3", event_type, CAR)
    row = NotificationLog.objects.get()
    assert (row.outcome, row.http_status, row.event_type, row.resource) == ("received", 200, event_type, CAR)
    (call,) = told.calls
    assert (call["event_type"], call["resource"], call["notification"]) == (event_type, CAR, row)


@pytest.mark.parametrize("url", ["notify", "v2"])
@pytest.mark.parametrize("sign_type", ["MD5", "HMAC-SHA256"])
def test_a_scan_is_answered_with_a_sign_of_the_questions_own_algorithm(client, answers, told, url, sign_type):
    answers({SCAN: lambda question: {"prepay_id": f"wx{question.resource['product_id']}"}})
    response = PLATFORM.scan_v2("P-1", sign_type=sign_type).post(client, f"/wechatpay/{url}/")
    assert proven_scan(response, sign_type=sign_type) == {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "appid": PLATFORM.appid,
        "mch_id": PLATFORM.mchid,
        "prepay_id": "wxP-1",
    }
    assert NotificationLog.objects.get().outcome == "received"
    assert [call["event_type"] for call in told.calls] == [SCAN]


@pytest.mark.parametrize("position", [0, 1])
def test_a_scan_is_answered_with_the_key_that_signed_it(client, answers, settings, position):
    keys = ["n" * 32, "o" * 32]
    keys.insert(position, PLATFORM.api_v2_key)
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(API_V2_KEY=keys)}}
    answers({SCAN: lambda _: {"prepay_id": "wx1"}})
    assert proven_scan(PLATFORM.scan_v2("P-1").post(client, "/wechatpay/v2/"))["prepay_id"] == "wx1"


@pytest.mark.parametrize("text", ["sold out", "卖完了 <&> ]]> ]]]]>", " \t\n"])
def test_a_product_that_is_not_sold_is_a_fail_with_its_reason(client, answers, settings, text):
    settings.DEFAULT_CHARSET = "gbk"
    answers({SCAN: lambda _: {"err_code_des": text}})
    fields = proven_scan(PLATFORM.scan_v2("P-1").post(client, "/wechatpay/v2/"))
    assert (fields["return_code"], fields["result_code"], fields["err_code_des"]) == ("SUCCESS", "FAIL", text)
    assert NotificationLog.objects.get().outcome == "received"


def test_what_we_say_of_a_scan_the_host_cannot_say_otherwise(client, answers):
    ours = dict.fromkeys(("return_code", "result_code", "appid", "mch_id", "nonce_str", "sign"), "x")
    answers({SCAN: lambda _: ours | {"prepay_id": "wx1", "return_msg": "OK"}})
    fields = proven_scan(PLATFORM.scan_v2("P-1").post(client, "/wechatpay/v2/"))
    assert "x" not in fields.values()
    assert fields["return_msg"] == "OK"


def test_a_redelivery_is_answered_afresh_and_told_no_more(client, answers, told, version):
    numbers = iter(("1", "2", "3"))
    signed, event_type, _ = asked_with(version)
    answers({event_type: lambda _: {"prepay_id": next(numbers)}})
    contents = [signed.post(client, "/wechatpay/notify/").content for _ in range(3)]
    for number, content in enumerate(contents, 1):
        answered = json.loads(content) if version == "v3" else flatxml.parse_xml(content, "xml")
        assert answered["prepay_id"] == str(number)
    outcomes = list(NotificationLog.objects.order_by("pk").values_list("outcome", flat=True))
    assert outcomes == ["received", "duplicate", "duplicate"]
    assert len(told.calls) == 1


def test_two_scans_of_one_product_are_two_questions(client, answers, told):
    answers({SCAN: lambda _: {"prepay_id": "wx1"}})
    for _ in range(2):
        PLATFORM.scan_v2("P-1").post(client, "/wechatpay/v2/")
    assert len(told.calls) == 2


def test_a_question_that_nobody_answers_is_stored_and_sent_again(client, answers, told, version):
    signed, event_type, answer = asked_with(version)
    row = check(client, signed, version, "no_receiver")
    assert (row.verified, row.event_type) == (True, event_type)
    assert f'ANSWERS answers "{event_type}"' in row.detail
    assert 'WECHATPAY_NOTIFY["ANSWERS"]' in str(OUTCOMES[row.outcome].hint)
    assert not told.calls
    assert not SignalDelivery.objects.exists()
    answers({event_type: lambda _: answer})
    assert signed.post(client, "/wechatpay/notify/").content != plain(version, "no_receiver")[1]
    assert NotificationLog.objects.latest("pk").outcome == "received"
    assert len(told.calls) == 1


@pytest.mark.parametrize("given", [None, [], "shop.qr.prepay", {PARKING: None}, {PARKING: 5}, {"parking": fee}])
def test_answers_that_name_nothing_callable_answer_nothing(client, answers, given):
    answers(given)
    check(client, parking(), "v3", "no_receiver")


def test_an_answer_may_be_a_dotted_path(client, answers):
    answers({PARKING: f"{__name__}.fee"})
    assert parking().post(client, "/wechatpay/v3/").json() == FEE


def test_a_path_that_cannot_be_imported_is_unavailable_and_mended_without_a_restart(client, answers, caplog):
    answers({PARKING: "tests.nowhere.fee"})
    row = check(client, parking(), "v3", "unavailable")
    assert "ModuleNotFoundError" in row.detail
    assert "ModuleNotFoundError" in caplog.text
    answers({PARKING: fee})
    assert parking().post(client, "/wechatpay/v3/").json() == FEE


def test_an_answer_that_raises_is_unavailable_with_its_traceback(client, answers, told, version, caplog):
    def broken(question):
        raise ConnectionError("the gate is down")

    signed, event_type, _ = asked_with(version)
    answers({event_type: broken})
    row = check(client, signed, version, "unavailable")
    assert row.verified
    assert row.detail == "ConnectionError: the gate is down"
    assert "in broken" in caplog.text
    assert not told.calls


CYCLE = {}
CYCLE["self"] = CYCLE
UNSENDABLE = {
    "v3": [None, "fee", ["fee"], [("a", 1)], {"a": object()}, {"a": {1}}, {"a": float("nan")}, {(1, 2): 3}, CYCLE],
    "v2": [
        None,
        "wx1",
        [("prepay_id", "wx1")],
        {},
        {"prepay_id": ""},
        {"prepayid": "wx1"},
        {"prepay_id": 1},
        {"prepay_id": b"wx1"},
        {"prepay_id": "wx1", "return_msg": None},
        {"prepay_id": "wx1", 5: "x"},
        {"prepay_id": "wx1", "a><b": "x"},
        {"err_code_des": "\0"},
        {"err_code_des": "\ud800"},
        {"err_code_des": "two\rlines"},
    ],
}


@pytest.mark.parametrize(
    ("version", "wrong"), [(version, wrong) for version in UNSENDABLE for wrong in UNSENDABLE[version]]
)
def test_an_answer_that_cannot_be_sent_is_unavailable(client, answers, told, version, wrong):
    signed, event_type, _ = asked_with(version)
    answers({event_type: lambda _: wrong})
    check(client, signed, version, "unavailable")
    assert not told.calls


def test_a_failing_receiver_keeps_the_question_coming(client, answers, told, version):
    signed, event_type, answer = asked_with(version)
    answers({event_type: lambda _: answer})
    told.failures = [RuntimeError("no paper")]
    check(client, signed, version, "receiver_failed")
    assert signed.post(client, "/wechatpay/notify/").content != plain(version, "received")[1]
    assert NotificationLog.objects.latest("pk").outcome == "received"
    assert len(told.calls) == 2


MERCHANT_NAMED = {
    "mchid": {"mchid": PLATFORM.mchid},
    "appid": {"appid": PLATFORM.appid, "plan_id": 12535},
    "a provider's": {"sp_mchid": PLATFORM.mchid, "sp_appid": PLATFORM.appid, "mchid": "1", "sub_mchid": "1900000201"},
    "v2's spelling": {"mch_id": PLATFORM.mchid, "sub_mch_id": "1900000201"},
}
ANOTHERS = {
    "mchid": {"mchid": "1900009999"},
    "mchid, a number": {"mchid": 1900009999},
    "mchid, an object": {"mchid": {}},
    "empty mchid": {"mchid": ""},
    "appid": {"mchid": PLATFORM.mchid, "appid": "wx-another"},
    "a provider's mchid": {"sp_mchid": "1900009999", "mchid": PLATFORM.mchid},
    "a provider's appid": {"sp_mchid": PLATFORM.mchid, "sp_appid": "wx-another"},
    "a sub-merchant": {"sp_mchid": PLATFORM.mchid, "sub_mchid": "1900000202"},
}


@pytest.fixture
def strict_merchant(settings):
    merchant = PLATFORM.merchant(APPIDS=[PLATFORM.appid], SUB_MCHIDS=["1900000201"])
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": merchant}}


@pytest.mark.parametrize("resource", MERCHANT_NAMED.values(), ids=MERCHANT_NAMED)
def test_a_question_that_names_our_merchant_is_answered(client, strict_merchant, answers, resource):
    answers({"ENTRUST.TERMINATE_RETENTION": fee})
    response = PLATFORM.v3("ENTRUST.TERMINATE_RETENTION", resource).post(client, "/wechatpay/v3/")
    assert response.json() == FEE


@pytest.mark.parametrize("resource", ANOTHERS.values(), ids=ANOTHERS)
def test_a_question_about_another_merchant_is_not_asked(client, strict_merchant, answers, told, resource):
    asked = []
    answers({"ENTRUST.TERMINATE_RETENTION": asked.append})
    check(client, PLATFORM.v3("ENTRUST.TERMINATE_RETENTION", resource), "v3", "wrong_merchant")
    assert not asked
    assert not told.calls


@pytest.mark.parametrize("fields", [{"mch_id": "1900009999"}, {"appid": "wx-another"}, {"sub_mch_id": "1900000202"}])
def test_a_scan_at_another_merchant_is_not_asked(client, strict_merchant, answers, fields):
    asked = []
    answers({SCAN: asked.append})
    check(client, PLATFORM.scan_v2("P-1", **fields), "v2", "wrong_merchant")
    assert not asked


def test_only_questions_are_asked_and_only_by_their_own_api_version(client, answers, told):
    asked = []
    answers(dict.fromkeys(("COUPON.USE", "TRANSACTION.SUCCESS", "v2.CONTRACT", PARKING, SCAN), asked.append))
    for signed, version in (
        (PLATFORM.v3("COUPON.USE", CAR), "v3"),
        (PLATFORM.v3(SCAN, {"appid": PLATFORM.appid, "mch_id": PLATFORM.mchid}), "v3"),
        (PLATFORM.v2({"mch_id": PLATFORM.mchid, "contract_code": "1", "change_type": "ADD"}), "v2"),
    ):
        check(client, signed, version, "received")
    assert b"<code>" in PLATFORM.event_v2(PARKING, CAR).post(client, "/wechatpay/v2/").content
    assert not asked
    assert len(told.calls) == 4


def test_what_the_answer_does_to_the_question_changes_nothing(client, answers, told, version):
    def spoil(question):
        for value in question.resource.values():
            if isinstance(value, list):
                value.append("x")
        question.resource.clear()
        return answer

    signed, event_type, answer = asked_with(version)
    if version == "v3":
        signed = parking(list=["a"])
    answers({event_type: spoil})
    assert signed.post(client, "/wechatpay/notify/").status_code == 200
    row = NotificationLog.objects.get()
    assert row.outcome == "received"
    assert row.resource == told.calls[0]["resource"]
    assert row.resource.get("list") == (["a"] if version == "v3" else None)


@pytest.mark.django_db(transaction=True)
def test_the_host_is_asked_outside_of_any_transaction_before_anything_is_stored(client, answers, version):
    seen = []

    def look(question):
        seen.append((connection.in_atomic_block, connection.get_autocommit(), NotificationLog.objects.count()))
        return answer

    signed, event_type, answer = asked_with(version)
    answers({event_type: look})
    assert signed.post(client, "/wechatpay/notify/").status_code == 200
    assert seen == [(False, True, 0)]
    assert NotificationLog.objects.count() == 1
