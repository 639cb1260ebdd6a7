"""v2 notices that are not WeChat's, or that two readers could read differently."""

import contextlib
import hashlib
import time

import pytest
import time_machine

from tests.attacks import ATTACKER, NOTIFY, NUMBER, TRANSACTION, V2, altered, cases, fields_v2, genuine, genuine_v2
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.protocol import flatxml, v2
from wechatpay_notify.protocol.errors import NotificationError
from wechatpay_notify.protocol.types import Merchant
from wechatpay_notify.testing import Signed, xml

pytestmark = pytest.mark.django_db


def signed_with(sign, **fields):
    """A notice under another `sign`: a text, or a function of the fields."""
    made = fields_v2(**fields)
    return xml(made | {"sign": sign(made) if callable(sign) else sign})


def raw(text):
    return Signed({"Content-Type": "text/xml"}, text if isinstance(text, bytes) else text.encode())


def digest(fields, ending, algorithm="md5"):
    """A digest as WeChat computes it, but with any ending in place of `&key=…`."""
    text = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if value)
    return hashlib.new(algorithm, f"{text}{ending}".encode()).hexdigest().upper()


MD5, HMAC = "MD5", "HMAC-SHA256"
MERCHANT = Merchant(mchid=PLATFORM.mchid, api_v2_keys=(PLATFORM.api_v2_key,))
ALGORITHMS = {
    "MD5": (MD5, MD5, {}, None),
    "MD5 and says so": (MD5, MD5, {"sign_type": MD5}, None),
    "HMAC": (MD5, HMAC, {}, None),
    "HMAC and says so": (MD5, HMAC, {"sign_type": HMAC}, None),
    "HMAC, configured alone": (HMAC, HMAC, {}, None),
    "MD5 says HMAC": (MD5, MD5, {"sign_type": HMAC}, "algorithm_refused"),
    "HMAC says MD5": (MD5, HMAC, {"sign_type": MD5}, "algorithm_refused"),
    "says lower case": (MD5, MD5, {"sign_type": "md5"}, "algorithm_refused"),
    "says none": (MD5, MD5, {"sign_type": "none"}, "algorithm_refused"),
    "says RSA": (MD5, MD5, {"sign_type": "RSA"}, "algorithm_refused"),
    "says 9 kB": (MD5, MD5, {"sign_type": "x" * 9000}, "algorithm_refused"),
    "T53 downgrade to MD5": (HMAC, MD5, {}, "algorithm_refused"),
    "T53 downgrade to MD5 that says so": (HMAC, MD5, {"sign_type": MD5}, "algorithm_refused"),
    "T53 downgrade that says HMAC": (HMAC, MD5, {"sign_type": HMAC}, "algorithm_refused"),
}


@pytest.mark.parametrize(("configured", "used", "fields", "outcome"), cases(ALGORITHMS))
def test_t50_t53_the_message_never_chooses_the_algorithm(attack, accept, configure, configured, used, fields, outcome):
    configure(V2_SIGN_TYPE=configured)
    signed = PLATFORM.v2(fields_v2(**fields), sign_type=used)
    if outcome:
        attack(signed, outcome, version="v2")
    else:
        accept(signed)


def test_t50_a_sign_in_lower_case_is_the_same_sign(accept):
    made = fields_v2()
    accept(xml(made | {"sign": v2.signature(made, PLATFORM.api_v2_key, MD5).lower()}))


SIGNS = {
    "missing": (None, "unsigned"),
    "empty": ("", "unsigned"),
    "blank": (" ", "signature_invalid"),
    "zeros": ("0" * 32, "signature_invalid"),
    "64 zeros": ("0" * 64, "signature_invalid"),
    "0e": ("0e" + "0" * 30, "signature_invalid"),
    "empty MD5": (hashlib.md5(b"").hexdigest(), "signature_invalid"),
    "31 digits": ("A" * 31, "signature_invalid"),
    "33 digits": ("A" * 33, "signature_invalid"),
    "40 digits": ("A" * 40, "signature_invalid"),
    "no hex": ("Z" * 32, "signature_invalid"),
    "full width": ("Ａ" * 32, "signature_invalid"),
    "non-ASCII": ("é" * 32, "signature_invalid"),
    "60 kB": ("A" * 60_000, "signature_invalid"),
    "T53 half an HMAC": (lambda f: v2.signature(f, PLATFORM.api_v2_key, HMAC)[:32], "signature_invalid"),
    "T53 HMAC's other half": (lambda f: v2.signature(f, PLATFORM.api_v2_key, HMAC)[32:], "signature_invalid"),
    "padded": (lambda f: v2.signature(f, PLATFORM.api_v2_key, MD5) + " ", "signature_invalid"),
    "T52 empty key": (lambda f: digest(f, "&key="), "signature_invalid"),
    "T52 no key": (lambda f: digest(f, ""), "signature_invalid"),
    "T52 SHA-256 without key": (lambda f: digest(f, "&key=", "sha256"), "signature_invalid"),
    "T52 null": (lambda f: v2.signature(f, "null", MD5), "signature_invalid"),
    "T52 None": (lambda f: v2.signature(f, "None", MD5), "signature_invalid"),
    "T52 the merchant number": (lambda f: v2.signature(f, PLATFORM.mchid, MD5), "signature_invalid"),
    "T52 the documentation's key": (
        lambda f: v2.signature(f, "192006250b4c09247ec02edce69f6a2d", MD5),
        "signature_invalid",
    ),
    "T52 the APIv3 key": (lambda f: v2.signature(f, PLATFORM.api_v3_key, MD5), "signature_invalid"),
    "T52 another merchant's key": (lambda f: v2.signature(f, ATTACKER.api_v2_key, HMAC), "signature_invalid"),
}


@pytest.mark.parametrize(("sign", "outcome"), cases(SIGNS))
def test_t51_t52_a_sign_that_is_not_wechats_is_refused(attack, sign, outcome):
    signed = xml(fields_v2()) if sign is None else signed_with(sign)
    row = attack(signed, outcome, version="v2")
    assert not row.verified


CHANGES = {
    "amount": {"total_fee": "1"},
    "order": {"out_trade_no": "FG-02"},
    "transaction": {"transaction_id": TRANSACTION},
    "state": {"result_code": "FAIL"},
    "added": {"zz": "1"},
    "dropped": {"cash_fee": ""},
    "renamed": {"cash_fee": "", "cash_fef": "100"},
    "padded": {"out_trade_no": NUMBER + " "},
    "upper-case name": {"TOTAL_FEE": "1"},
}


@pytest.mark.parametrize("change", cases(CHANGES))
def test_t54_fields_changed_after_signing_are_refused(attack, change):
    made = flatxml.parse_xml(genuine_v2().body, "xml")
    attack(xml(made | change), "signature_invalid", version="v2")


@pytest.mark.parametrize("key", [PLATFORM.api_v2_key, ATTACKER.api_v2_key], ids=["our key", "another's key"])
def test_t55_a_leaked_sign_cannot_be_read_as_other_fields(attack, key):
    middle = f"&bank_type=CFT&mch_id={PLATFORM.mchid}&out_trade_no={NUMBER}&result_code=SUCCESS&return_code=SUCCESS"
    middle += f"&total_fee=100&trade_type=JSAPI&transaction_id={TRANSACTION}"
    paid = fields_v2(attach=f"mug{middle}&z=1", total_fee="1", out_trade_no="FG-02", openid=None, is_subscribe=None)
    sign = v2.signature(paid, key, MD5)
    leaked = dict(part.split("=", 1) for part in f"attach=mug{middle}".split("&"))
    ahead = {name: value for name, value in paid.items() if name < "attach"}
    rest = "&".join(f"{name}={paid[name]}" for name in sorted(paid) if name > "attach")
    other = ahead | leaked | {"z": f"1&{rest}"}
    assert v2.signature(other, key, MD5) == sign, "the attack itself must work"
    outcome = "malformed" if key == PLATFORM.api_v2_key else "signature_invalid"
    attack(xml(other | {"sign": sign}), outcome, version="v2")
    attack(xml(paid | {"sign": sign}), outcome, version="v2")


def test_t55_an_attach_like_a_query_string_passes(accept):
    accept(genuine_v2(attach="uid=1&pid=2&fee=3&total_fe=4&xtotal_fee=5"))


OTHER_TEXTS = {
    "JSAPI paySign": {"appId": PLATFORM.appid, "timeStamp": "1", "nonceStr": "n", "package": "prepay_id=wx1"},
    "app paySign": {"appid": PLATFORM.appid, "partnerid": PLATFORM.mchid, "prepayid": "wx1", "package": "Sign=WXPay"},
    "native QR code": {"appid": PLATFORM.appid, "mch_id": PLATFORM.mchid, "time_stamp": "1", "product_id": "1"},
    "contract link": {"appid": PLATFORM.appid, "mch_id": PLATFORM.mchid, "plan_id": "1", "timestamp": "1"},
    "refund answer": {"refund_id": "5", "out_refund_no": "R-1"},
    "order answer": {"total_fee": None, "transaction_id": None, "prepay_id": "wx1"},
    "close order": {"return_code": None, "result_code": None, "total_fee": None, "transaction_id": None},
}
SEEN_BY_PAYERS = ("JSAPI paySign", "app paySign", "native QR code", "contract link")


@pytest.mark.parametrize("name", OTHER_TEXTS)
def test_t56_another_text_under_the_same_key_confirms_nothing(client, order, shipped, name):
    fields = OTHER_TEXTS[name] if name in SEEN_BY_PAYERS else fields_v2(**OTHER_TEXTS[name])
    PLATFORM.v2(fields).post(client, NOTIFY)
    order.refresh_from_db()
    assert order.status == "pending"
    assert not shipped.calls


@pytest.mark.parametrize("name", SEEN_BY_PAYERS)
def test_t56_a_text_that_payers_see_is_no_notification_and_stays_within_the_budget(client, settings, name):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"REJECTED_LOG_PER_MINUTE": 3}
    with time_machine.travel(1_795_000_000, tick=False):
        for _ in range(9):
            assert b"FAIL" in PLATFORM.v2(OTHER_TEXTS[name]).post(client, NOTIFY).content
    assert NotificationLog.objects.count() <= 3


WHOSE = {"appid": PLATFORM.appid, "mch_id": PLATFORM.mchid}
REREAD = {
    "all in the appid": (
        "native QR code",
        {"appid": f"{PLATFORM.appid}&mch_id={PLATFORM.mchid}&product_id=1&time_stamp=1"},
    ),
    "a code's time in the product": ("native QR code", WHOSE | {"product_id": "1&time_stamp=1"}),
    "a link's time in the plan": ("contract link", WHOSE | {"plan_id": "1&timestamp=1"}),
}


@pytest.mark.parametrize(("name", "other"), cases(REREAD))
def test_t55_t56_a_text_that_payers_see_cannot_be_read_as_a_notice(client, connect, settings, name, other):
    told = connect(signals.notification_received)
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"REJECTED_LOG_PER_MINUTE": 3}
    sign = v2.signature(OTHER_TEXTS[name], PLATFORM.api_v2_key, MD5)
    assert v2.signature(other, PLATFORM.api_v2_key, MD5) == sign, "the attack itself must work"
    with time_machine.travel(1_795_000_000, tick=False):
        for _ in range(9):
            assert b"FAIL" in xml(other | {"sign": sign}).post(client, NOTIFY).content
    assert set(NotificationLog.objects.values_list("outcome", "verified")) == {("malformed", False)}
    assert NotificationLog.objects.count() <= 3
    assert not told.calls


def test_t56_a_payments_attach_may_hold_a_time(accept):
    accept(genuine_v2(attach="uid=1&timestamp=1795000000&time_stamp=2"))


@pytest.mark.parametrize("value", [" ", " padded ", "\ttab", "line\nfeed", "\u00a0"], ids=ascii)
def test_t57_white_space_in_a_value_is_signed_and_kept(accept, value):
    assert accept(genuine_v2(attach=value)).resource["attach"] == value


def test_t57_white_space_between_the_elements_is_none_of_the_values(accept):
    accept(raw(genuine_v2().body.replace(b"><", b">\n  <")))


def reformed(old, new):
    """A genuine notice whose XML is written otherwise, such that a lax reader would still find the sign right."""
    body = genuine_v2().body
    assert old.encode() in body
    return raw(body.replace(old.encode(), new.encode(), 1))


DOCTYPES = {
    "T60 bare DOCTYPE": "<!DOCTYPE xml>",
    "T60 internal entity": '<!DOCTYPE xml [<!ENTITY a "100">]>',
    "T60 external entity": '<!DOCTYPE xml [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
    "T60 parameter entity": '<!DOCTYPE xml [<!ENTITY % a SYSTEM "http://127.0.0.1:1/x.dtd"> %a;]>',
    "T60 external DTD": '<!DOCTYPE xml SYSTEM "http://127.0.0.1:1/x.dtd">',
    "T60 attribute default": '<!DOCTYPE xml [<!ATTLIST total_fee a CDATA "1">]>',
    "T60 element declared": "<!DOCTYPE xml [<!ELEMENT xml ANY>]>",
    "T59 PI in front": "<?php system('id') ?>",
    "T59 comment in front": "<!-- x -->",
    "T62 declared UTF-16": '<?xml version="1.0" encoding="UTF-16"?>',
    "T62 declared UTF-7": '<?xml version="1.0" encoding="UTF-7"?>',
    "T62 declared GBK": '<?xml version="1.0" encoding="GBK"?>',
    "T62 declared Latin-1": '<?xml version="1.0" encoding="ISO-8859-1"?>',
    "T62 declared bogus": '<?xml version="1.0" encoding="x-bogus"?>',
}
TWO_READINGS = {name: ("<xml>", f"{front}<xml>") for name, front in DOCTYPES.items()} | {
    "T58 same element twice": ("<total_fee>", "<total_fee>100</total_fee><total_fee>"),
    "T58 empty element first": ("<total_fee>", "<total_fee/><total_fee>"),
    "T58 nested": ("<total_fee>100</total_fee>", "<total_fee><a>100</a></total_fee>"),
    "T58 mixed": ("<total_fee>100", "<total_fee>100<a/>"),
    "T58 attribute": ("<total_fee>", '<total_fee a="1">'),
    "T58 root attribute": ("<xml>", '<xml total_fee="1">'),
    "T58 namespace": ("<total_fee>", '<total_fee xmlns="urn:x">'),
    "T58 root namespace": ("<xml>", '<xml xmlns:a="urn:x">'),
    "T58 prefix": ("<xml>", '<xml xmlns:a="urn:x"><a:total_fee>1</a:total_fee>'),
    "T58 text between": ("<total_fee>", "x<total_fee>"),
    "T58 non-ASCII name": ("<xml>", "<xml><é>1</é>"),
    "T59 comment in value": ("<total_fee>100", "<total_fee>10<!-- x -->0"),
    "T59 comment between": ("<total_fee>", "<!-- x --><total_fee>"),
    "T59 PI in value": ("<total_fee>100", "<total_fee>10<?x y?>0"),
    "T60 XInclude": ("<total_fee>", '<xi:include xmlns:xi="urn:x" href="file:///etc/passwd"/><total_fee>'),
    "T60 undefined entity": ("<total_fee>100", "<total_fee>100&nbsp;"),
    "T62 not closed": ("</xml>", ""),
    "T62 text behind": ("</xml>", "</xml>x"),
    "T62 second document": ("</xml>", "</xml><xml></xml>"),
    "T62 forbidden character": ("<total_fee>100", "<total_fee>100&#0;"),
    "T62 forbidden surrogate": ("<total_fee>100", "<total_fee>100&#xD800;"),
}


@pytest.mark.parametrize(("old", "new"), cases(TWO_READINGS))
def test_t58_to_t62_xml_that_is_not_strict_is_malformed(attack, old, new):
    attack(reformed(old, new), "malformed", version="v2", path=V2)


ONE_READING = {
    "declared UTF-8": ("<xml>", '<?xml version="1.0" encoding="UTF-8"?><xml>'),
    "declared utf-8, standalone": ("<xml>", '<?xml version="1.0" encoding="utf-8" standalone="yes"?>\n<xml>'),
    "CDATA": ("<total_fee>100", "<total_fee><![CDATA[100]]>"),
    "CDATA in pieces": ("<total_fee>100", "<total_fee>1<![CDATA[0]]><![CDATA[]]>0"),
    "character reference": ("<total_fee>100", "<total_fee>&#49;&#x30;0"),
    "empty element": ("<xml>", "<xml><device_info/><attach></attach>"),
    "space in tags": ("<total_fee>100</total_fee>", "<total_fee >100</total_fee\n>"),
}


@pytest.mark.parametrize(("old", "new"), cases(ONE_READING))
def test_t59_xml_with_one_reading_is_read(accept, old, new):
    accept(reformed(old, new))


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
ABUSES = {
    "T61 billion laughs": (f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><xml><a>&l9;</a></xml>', "malformed"),
    "T61 quadratic": (f'<!DOCTYPE x [<!ENTITY a "{"x" * 30_000}">]><xml><a>{"&a;" * 9000}</a></xml>', "malformed"),
    "T62 UTF-16": ("<xml><a>1</a></xml>".encode("utf-16"), "malformed"),
    "T62 UTF-32": ("<xml><a>1</a></xml>".encode("utf-32"), "malformed"),
    "T62 NUL": ("<xml><a>\0</a></xml>", "malformed"),
    "T62 bad UTF-8": (b"<xml><a>\xff</a></xml>", "malformed"),
    "T62 overlong UTF-8": (b"<xml><a>\xc0\xbc</a></xml>", "malformed"),
    "T62 surrogate in UTF-8": (b"<xml><a>\xed\xa0\x80</a></xml>", "malformed"),
    "T62 9000 deep": ("<xml>" + "<a>" * 9000 + "</a>" * 9000 + "</xml>", "malformed"),
    "T62 20000 deep and open": ("<xml>" + "<a>" * 20_000, "malformed"),
    "T62 301 fields": ("<xml>" + "".join(f"<a{n}>1</a{n}>" for n in range(301)) + "</xml>", "malformed"),
    "T62 9000 times one field": ("<xml>" + "<a/>" * 9000 + "</xml>", "malformed"),
    "T62 a name of 60 kB": (f"<xml><{'a' * 30_000}>1</{'a' * 30_000}></xml>", "unsigned"),
    "T62 9000 attributes": ("<xml " + " ".join(f"a{n}='1'" for n in range(5000)) + "/>", "malformed"),
    "T58 wrapped": ("<xml><xml><a>1</a></xml></xml>", "malformed"),
    "T62 other root": ("<root><a>1</a></root>", "malformed"),
    "T62 empty root": ("<xml/>", "malformed"),
    "T62 root of text": ("<xml>x</xml>", "malformed"),
    "T62 blank": (" \n ", "malformed"),
    "T62 empty": ("", "malformed"),
    "T62 HTML": ("<html><body>ok</body></html>", "malformed"),
    "T62 half a tag": ("<", "malformed"),
    "T64 JSON": (genuine().body, "malformed"),
    "T69 65 kB": (f"<xml><a>{'x' * 65_536}</a></xml>", "too_large"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "outcome"), cases(ABUSES))
def test_t61_t62_abuse_of_xml_is_refused_at_once(attack, body, outcome):
    attack(raw(body), outcome, version="v2", path=V2)


@pytest.mark.parametrize("body", cases({name: body for name, (body, _) in ABUSES.items()}))
def test_t61_no_xml_takes_longer_than_100_ms(body):
    body = body if isinstance(body, bytes) else body.encode()
    taken = []
    for _ in range(3):
        started = time.process_time()
        with contextlib.suppress(NotificationError):
            v2.parse_notification({}, body, MERCHANT, now=0)
        taken.append(time.process_time() - started)
    assert min(taken) < 0.2  # 0.1 s is promised; a busy machine gets twice that


def test_t64_v3_headers_do_not_prove_xml(attack):
    signed = genuine()
    attack(Signed(signed.headers, xml(fields_v2()).body), "unsigned", version="v2")
    attack(altered("Signature-Type", "none", signed.with_body(b"<xml/>")), "malformed", version="v2")
