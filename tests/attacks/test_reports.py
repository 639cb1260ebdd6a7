"""T71, T75, T76: what is written beside the answer (error reports, log records) gives away no key and no line."""

import logging
import sys

import pytest
from django.core.cache import cache
from django.db import DatabaseError
from django.views.debug import ExceptionReporter

from tests.settings import PLATFORM
from wechatpay_notify.models import NotificationLog, Order

pytestmark = pytest.mark.django_db
URL = "/wechatpay/notify/"
SECRETS = (PLATFORM.api_v2_key, PLATFORM.api_v3_key)


def broken(*args, **kwargs):
    raise DatabaseError("disk full")


@pytest.fixture
def reports():
    """What an error reporter that shows the locals of each frame makes of the app's log records, as it sees them."""
    texts = []

    class Reporter(logging.Handler):
        def emit(self, record):
            seen = [found for found in (record.exc_info, sys.exc_info()) if found and found[0]]
            texts.extend(ExceptionReporter(None, *found).get_traceback_html() for found in seen)

    handler, logger = Reporter(), logging.getLogger("wechatpay_notify")
    logger.addHandler(handler)
    yield texts
    logger.removeHandler(handler)


@pytest.mark.parametrize("failing", [(cache, "incr"), (NotificationLog, "save")], ids=["cache", "database"])
@pytest.mark.parametrize("make", [PLATFORM.payment_v2, PLATFORM.payment_v3])
def test_t76_a_forgery_while_something_fails_puts_no_key_into_a_report(client, reports, monkeypatch, make, failing):
    monkeypatch.setattr(*failing, broken)
    signed = make("A-1", 100)
    assert b"FAIL" in signed.with_body(signed.body.replace(b"SUCCESS", b"SUCCES5")).post(client, URL).content
    assert reports, "the failure is reported"
    assert not any(secret in text for secret in SECRETS for text in reports)


def test_t76_an_undecryptable_resource_puts_no_key_into_a_report(client, reports, monkeypatch, settings):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(API_V3_KEY="k" * 31 + "y")}}
    monkeypatch.setattr(NotificationLog, "save", broken)
    assert PLATFORM.payment_v3("A-1", 100).post(client, URL).status_code == 503
    assert reports
    assert not any("k" * 31 in text for text in reports)


def test_t75_a_failing_receiver_puts_no_openid_into_a_report(client, shipped, reports):
    shipped.failures = [RuntimeError("no paper")]
    Order.objects.expect(out_trade_no="A-1", amount=100)
    PLATFORM.payment_v3("A-1", 100, payer={"openid": "oSecretSecretSecretSecret123"}).post(client, URL)
    assert reports
    assert not any("SecretSecret" in text for text in reports)


def test_t71_the_numbers_of_a_record_cannot_begin_a_new_line(client, caplog):
    caplog.set_level("INFO", logger="wechatpay_notify")
    signed = PLATFORM.payment_v3("A-1", 100, notification_id="x\nINFO outcome='confirmed'")
    signed.with_body(signed.body + b" ").post(client, URL)
    (record,) = [record for record in caplog.records if record.name == "wechatpay_notify"]
    assert "\n" not in record.notification_id
    assert record.outcome == "signature_invalid"
