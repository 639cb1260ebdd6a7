"""What an attacker may fill, learn or make appear: rows, log lines, keys, and the difference between two refusals."""

import json
import logging
import traceback

import pytest
import time_machine
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from django.core import serializers
from django.core.cache.backends.base import BaseCache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.answers import answer
from tests.attacks import (
    ATTACKER,
    NOTIFY,
    NUMBER,
    SM2_PEM,
    V3,
    altered,
    cases,
    fields_v2,
    genuine,
    genuine_v2,
    sealed,
    sealed_text,
)
from tests.settings import PLATFORM
from wechatpay_notify.conf import conf
from wechatpay_notify.models import NotificationLog, Order
from wechatpay_notify.protocol.types import Merchant
from wechatpay_notify.testing import OPENID, Platform, Signed, xml

pytestmark = pytest.mark.django_db

FORGERIES = {
    "v3": lambda: genuine().with_body(b'{"id": "x"}'),
    "v3 unsigned": lambda: Signed({"Content-Type": "application/json"}, b"{}"),
    "v2": lambda: xml(fields_v2() | {"sign": "0" * 32}),
    "v2 malformed": lambda: genuine_v2().with_body(b"<xml>"),
}


@pytest.mark.parametrize("forge", cases(FORGERIES))
def test_t74_a_flood_of_forgeries_costs_no_statement_beyond_its_budget(client, accept, settings, forge):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"REJECTED_LOG_PER_MINUTE": 3}
    forged = forge()
    with time_machine.travel(1_795_000_000, tick=False):
        answers = {forged.post(client, NOTIFY).content for _ in range(3)}
        with CaptureQueriesContext(connection) as captured:
            answers |= {forged.post(client, NOTIFY).content for _ in range(40)}
    assert len(captured) == 0
    assert NotificationLog.objects.count() == 3
    assert len(answers) == 1
    accept(genuine())


def test_t74_the_newest_forgeries_are_kept_and_every_proven_row(client, accept, settings):
    budget = {"REJECTED_LOG_PER_MINUTE": 4, "REJECTED_LOG_KEEP": 6}
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | budget
    proven = accept(genuine())
    forged = FORGERIES["v3 unsigned"]()
    for minute in range(5):
        with time_machine.travel(1_795_000_000 + 60 * minute, tick=False):
            for _ in range(9):
                forged.post(client, NOTIFY)
    kept = list(NotificationLog.objects.filter(verified=False).order_by("pk").values_list("pk", flat=True))
    assert 6 <= len(kept) <= 6 + 4
    assert kept[-1] == NotificationLog.objects.latest("pk").pk
    assert kept == list(range(kept[0], kept[-1] + 1))
    assert NotificationLog.objects.filter(pk=proven.pk).exists()


@pytest.mark.parametrize("body", cases({"v3": b"{" + b"x" * 200_000, "v2": b"<xml>" + b"x" * 60_000}))
def test_t74_a_large_forged_body_is_cut_and_marked(client, body):
    Signed({"Content-Type": "text/plain"}, body).post(client, NOTIFY)
    row = NotificationLog.objects.get()
    assert bytes(row.body) == body[: 16 * 1024]
    assert str(len(body)) in row.detail


class BrokenCache(BaseCache):
    """A cache whose server is down."""

    def add(self, *args, **kwargs):
        raise ConnectionError("no cache")

    def __init__(self, _location, params):
        super().__init__(params)


def test_t74_a_cache_that_fails_stores_no_forgery_and_accepts_the_genuine_one(client, accept, settings):
    settings.CACHES = {"default": {"BACKEND": f"{__name__}.BrokenCache"}}
    response = FORGERIES["v3"]().post(client, NOTIFY)
    assert (response.status_code, response.content) == answer("v3", "signature_invalid")
    assert not NotificationLog.objects.exists()
    accept(genuine())


INJECTIONS = [
    "a\r\nERROR forged line",
    "\x1b[2J\x1b[31mred",
    "\u202egnp.exe",
    "a\u2028b\u2029c\x85d",
    "%s %(x)s {0}",
    "\0",
    "x" * 100_000,
]


@pytest.mark.parametrize("text", INJECTIONS, ids=range(len(INJECTIONS)))
def test_t71_a_log_line_is_one_bounded_line_of_printable_ascii(client, order, shipped, caplog, text):
    caplog.set_level(logging.DEBUG)
    latin = text.encode("utf-8").decode("latin-1")
    payment = PLATFORM.payment_resource(NUMBER, 100)
    hostile = [
        altered("Serial", latin),
        altered("Timestamp", latin),
        altered("Signature-Type", latin),
        xml(fields_v2() | {"sign": "0" * 32, "sign_type": text.translate({0: None, 27: None})}),
        sealed_text(json.dumps(payment | {"mchid": text}).encode()),
        sealed_text(json.dumps(payment | {"trade_state": text}).encode()),
        PLATFORM.sign_v3(json.dumps({"id": text, "event_type": text, "resource": PLATFORM.encrypt(b"{}")}).encode()),
        sealed_text(json.dumps({"out_trade_no": text, "mchid": text}).encode()),
    ]
    for signed in hostile:
        signed.post(client, NOTIFY)
    genuine_v2().post(client, "/wechatpay/v2/a%0d%0ab%1b[2J/")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith(("wechatpay_notify", "django"))]
    assert len(lines) >= len(hostile)
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert len(line) < 2500


def test_t71_t75_a_confirmation_is_logged_without_who_paid(accept, caplog):
    caplog.set_level(logging.DEBUG)
    accept(genuine(attach="a secret wish"))
    lines = "\n".join(record.getMessage() for record in caplog.records if record.name == "wechatpay_notify")
    assert NUMBER in lines
    assert OPENID not in lines
    assert "wish" not in lines


SECRETS = {
    "APIv3 key": PLATFORM.api_v3_key,
    "API v2 key": PLATFORM.api_v2_key,
    "private key": PLATFORM.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()[60:120],
}


@pytest.mark.parametrize("secret", cases(SECRETS))
def test_t76_no_key_is_ever_shown(client, order, shipped, caplog, configure, secret):
    caplog.set_level(logging.DEBUG)
    forged = [genuine().with_body(b"{}"), xml(fields_v2() | {"sign": "0" * 32})]
    responses = [signed.post(client, NOTIFY) for signed in (genuine(), genuine_v2(), *forged)]
    configure(API_V3_KEY=PLATFORM.api_v3_key[:-1], API_V2_KEY=PLATFORM.api_v2_key + "x")
    responses += [signed.post(client, NOTIFY) for signed in (genuine(), genuine_v2())]
    shown = [response.content.decode() for response in responses]
    config = conf.merchant("default")
    shown += [repr(config), str(config), repr(config.merchant), repr(conf), repr(PLATFORM), caplog.text]
    shown += [repr(record.__dict__) for record in caplog.records]
    shown.append(serializers.serialize("json", [*NotificationLog.objects.all(), *Order.objects.all()]))
    assert len(NotificationLog.objects.filter(outcome="misconfigured")) == 2
    assert not [text for text in shown if secret[:-1] in text]


def test_t76_an_error_shows_no_key_in_its_traceback_or_variables(client, order, caplog, monkeypatch):
    def fails(*args, **kwargs):
        raise ZeroDivisionError("as if by a bug")

    monkeypatch.setattr("wechatpay_notify.protocol.results.read", fails)
    for signed in (genuine(), genuine_v2()):
        response = signed.post(client, NOTIFY)
        assert b"retry" in response.content
    errors = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert len(errors) == 2
    for error in errors:
        text = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert PLATFORM.api_v3_key not in text
        assert PLATFORM.api_v2_key not in text


def pem(private_key):
    """The public half of a key of another kind than WeChat's."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


BROKEN_V3 = {
    "API_V3_KEY empty": {"API_V3_KEY": ""},
    "API_V3_KEY of 31 bytes": {"API_V3_KEY": "x" * 31},
    "API_V3_KEY of 16 bytes": {"API_V3_KEY": "x" * 16},
    "API_V3_KEY of 33 bytes": {"API_V3_KEY": "x" * 33},
    "API_V3_KEY not ASCII": {"API_V3_KEY": "é" * 32},
    "API_V3_KEY a number": {"API_V3_KEY": 5},
    "API_V3_KEY an empty list": {"API_V3_KEY": []},
    "API_V3_KEY with a bad one": {"API_V3_KEY": [PLATFORM.api_v3_key, ""]},
    "PLATFORM_KEYS missing": {"PLATFORM_KEYS": None},
    "PLATFORM_KEYS empty": {"PLATFORM_KEYS": {}},
    "PLATFORM_KEYS a list": {"PLATFORM_KEYS": [PLATFORM.public_pem()]},
    "PEM empty": {"PLATFORM_KEYS": {PLATFORM.serial: ""}},
    "PEM damaged": {"PLATFORM_KEYS": {PLATFORM.serial: PLATFORM.public_pem()[:200]}},
    "PEM half written": {"PLATFORM_KEYS": {PLATFORM.serial: "-----BEGIN CERTIFICATE-----\nMIID"}},
    "PEM a missing file": {"PLATFORM_KEYS": {PLATFORM.serial: "/nonexistent/pub_key.pem"}},
    "PEM None": {"PLATFORM_KEYS": {PLATFORM.serial: None}},
    "PEM of an SM2 key": {"PLATFORM_KEYS": {PLATFORM.serial: SM2_PEM}},
    "PEM of an Ed25519 key": {"PLATFORM_KEYS": {PLATFORM.serial: pem(Ed25519PrivateKey.generate())}},
    "PEM of a short RSA key": {"PLATFORM_KEYS": {PLATFORM.serial: pem(generate_private_key(65537, 1024))}},
    "serial no serial": {"PLATFORM_KEYS": {"pub_key.pem": PLATFORM.public_pem()}},
    "one good PEM, one bad": {"PLATFORM_KEYS": {PLATFORM.serial: PLATFORM.public_pem(), "AB": "x"}},
}
BROKEN_V2 = {
    "API_V2_KEY empty": {"API_V2_KEY": ""},
    "API_V2_KEY of 31 characters": {"API_V2_KEY": "x" * 31},
    "API_V2_KEY an empty list": {"API_V2_KEY": []},
    "V2_SIGN_TYPE unknown": {"V2_SIGN_TYPE": "none"},
    "V2_SIGN_TYPE None": {"V2_SIGN_TYPE": None},
}


@pytest.mark.parametrize("broken", cases(BROKEN_V3))
def test_t80_a_v3_key_that_cannot_be_used_fails_closed(attack, configure, broken):
    configure(**broken)
    attack(genuine(), "misconfigured")


@pytest.mark.parametrize("broken", cases(BROKEN_V2))
def test_t80_a_v2_key_that_cannot_be_used_fails_closed(attack, configure, broken):
    configure(**broken)
    attack(genuine_v2(), "misconfigured", version="v2")


def test_t80_a_broken_v3_key_does_not_stop_v2(accept, configure):
    configure(API_V3_KEY="", PLATFORM_KEYS={})
    accept(genuine_v2())


KNOWN = conf.merchant("default").merchant.platform_keys


def provided(alias):
    """A host's own merchant provider whose secrets did not arrive."""
    given = {
        "empty": {"api_v3_keys": (b"",), "api_v2_keys": ("",)},
        "short": {"api_v3_keys": (b"x",), "api_v2_keys": ("x",)},
    }
    return Merchant(alias=alias, mchid=PLATFORM.mchid, platform_keys=KNOWN, **given[alias])


@pytest.mark.parametrize(("version", "signed"), cases({"v3": ("v3", genuine), "v2": ("v2", genuine_v2)}))
@pytest.mark.parametrize("alias", ["empty", "short"])
def test_t80_a_provided_merchant_with_unusable_keys_fails_closed(attack, settings, alias, version, signed):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": provided}
    attack(signed(), "misconfigured", version=version, path=f"/wechatpay/notify/{alias}/")


UNAUTHORIZED = {
    "unknown serial": lambda: altered("Serial", "AB"),
    "bad signature": lambda: genuine().with_body(b"{}"),
    "no base64": lambda: altered("Signature", "!"),
    "stale": lambda: altered("Timestamp", "1"),
    "unsigned": lambda: altered("Nonce", None),
    "probe": lambda: altered("Signature", "WECHATPAY/SIGNTEST/x"),
    "signature type": lambda: altered("Signature-Type", "none"),
    "no JSON": lambda: genuine().with_body(b"\xff"),
    "other order": lambda: Platform(private_key=ATTACKER.private_key).payment_v3("FG-99", 1),
    "resource algorithm": lambda: sealed(PLATFORM.encrypt(b"{}") | {"algorithm": "x"}),
}
UNAUTHORIZED_V2 = {
    "bad sign": lambda: xml(fields_v2() | {"sign": "0" * 32}),
    "no hex": lambda: xml(fields_v2() | {"sign": "x"}),
    "unsigned": lambda: xml(fields_v2()),
    "sign_type": lambda: PLATFORM.v2(fields_v2(sign_type="RSA")),
    "other order": lambda: xml(fields_v2(out_trade_no="FG-99") | {"sign": "0" * 64}),
}


@pytest.mark.parametrize("group", cases({"v3": UNAUTHORIZED, "v2": UNAUTHORIZED_V2}))
def test_t94_the_answer_does_not_say_why(client, order, group):
    answers = {name: make().post(client, NOTIFY) for name, make in group.items()}
    told = {(r.status_code, tuple(sorted(r.headers.items())), r.content) for r in answers.values()}
    assert len(told) == 1
    assert NotificationLog.objects.values("outcome").distinct().count() > 2


def test_t94_an_unknown_order_is_answered_like_a_wrong_amount(client, order):
    unknown = PLATFORM.payment_v3("FG-99", 100).post(client, V3)
    wrong = PLATFORM.payment_v3(NUMBER, 1).post(client, V3)
    assert (unknown.status_code, unknown.content) == (wrong.status_code, wrong.content)
