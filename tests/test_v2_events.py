"""v2's notices about no order, through the URL: stored, told once, answered with success, and nothing more."""

import pytest

from tests.answers import answer
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import NotificationLog

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(connect):
    return connect(signals.notification_received, "shop.told")


EVENTS = {
    "v2.CONTRACT": PLATFORM.v2({"mch_id": PLATFORM.mchid, "contract_code": "C-1", "change_type": "DELETE"}),
    "v2.VEHICLE": PLATFORM.v2(
        {"mch_id": PLATFORM.mchid, "plate_number": "粤A00000", "vehicle_event_type": "BLOCKED"}, sign_type="HMAC-SHA256"
    ),
    "v2.RISK": PLATFORM.v2(
        {"mch_id": PLATFORM.mchid, "event_code": "E", "transaction_id_list": "{}"}, sign_type="HMAC-SHA256"
    ),
}


@pytest.mark.parametrize("url", ["notify", "v2"])
@pytest.mark.parametrize("event_type", EVENTS)
def test_v2s_other_notices_are_stored_told_once_and_answered_with_success(client, told, event_type, url):
    answered = [EVENTS[event_type].post(client, f"/wechatpay/{url}/") for _ in range(2)]
    assert [(response.status_code, response.content) for response in answered] == [answer("v2", "received")] * 2
    assert list(NotificationLog.objects.values_list("event_type", flat=True)) == [event_type] * 2
    (call,) = told.calls
    assert (call["event_type"], call["resource"]["mch_id"]) == (event_type, PLATFORM.mchid)


ROOM = {"state": "USER_PAID", "out_order_no": "R-1", "total_amount": "100"}


def both(code, message):
    """An answer in the two forms that are documented for a sealed event."""
    pairs = {"code": code, "message": message, "return_code": code, "return_msg": message}
    return f"<xml>{''.join(f'<{name}><![CDATA[{text}]]></{name}>' for name, text in pairs.items())}</xml>".encode()


@pytest.mark.parametrize("url", ["notify", "v2"])
def test_a_sealed_event_is_told_once_and_answered_in_both_forms(client, told, url):
    for _ in range(2):
        signed = PLATFORM.event_v2("TRANSACTION.SUCCESS", ROOM, event_id="EV-1")
        response = signed.post(client, f"/wechatpay/{url}/")
        assert (response.status_code, response["Content-Type"]) == (200, "text/xml")
        assert response.content == both("SUCCESS", "OK")
    rows = NotificationLog.objects.order_by("pk")
    assert [(row.outcome, row.notification_id) for row in rows] == [("received", "EV-1"), ("duplicate", "EV-1")]
    (call,) = told.calls
    assert (call["event_type"], call["resource"]["total_amount"]) == ("TRANSACTION.SUCCESS", "100")


def test_a_failure_behind_a_sealed_events_sign_has_both_forms_too(client, told, settings):
    told.failures = [RuntimeError]
    signed = PLATFORM.event_v2("CHECK.SUCCESS", ROOM)
    assert signed.post(client, "/wechatpay/v2/").content == both("FAIL", "retry")
    assert signed.post(client, "/wechatpay/v2/").content == both("SUCCESS", "OK")
    broken = PLATFORM.event_v2("CHECK.SUCCESS", ROOM, event_nonce="")
    assert broken.post(client, "/wechatpay/v2/").content == both("FAIL", "malformed")
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(API_V3_KEY=None, PLATFORM_KEYS=None)}}
    assert signed.post(client, "/wechatpay/v2/").content == both("FAIL", "retry")
    row = NotificationLog.objects.latest("pk")
    assert (row.outcome, row.verified) == ("undecryptable", True)


def test_a_payment_that_speaks_of_a_ciphertext_is_answered_in_its_own_form(client):
    signed = PLATFORM.payment_v2("A-1", 100, attach="<event_ciphertext>")
    signed = signed.with_body(signed.body.replace(b"&lt;event_ciphertext&gt;", b"<![CDATA[<event_ciphertext>]]>"))
    response = signed.post(client, "/wechatpay/v2/")
    assert (response.status_code, response.content) == answer("v2", "unknown_order")
