"""v3 requests that are not WeChat's: headers, signatures, keys, algorithms and bodies that do not prove it."""

import base64
import gzip
import hashlib
import hmac
import json
import secrets

import pytest
import time_machine
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15

from tests.attacks import ATTACKER, NOTIFY, NUMBER, altered, cases, genuine
from tests.settings import PLATFORM
from wechatpay_notify import signals
from wechatpay_notify.conf import conf
from wechatpay_notify.models import NotificationLog
from wechatpay_notify.testing import Platform, Signed

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("header", ["Timestamp", "Nonce", "Signature", "Serial"])
@pytest.mark.parametrize("value", cases({"absent": None, "empty": "", "blank": " \t "}))
def test_t1_a_missing_signature_header_is_refused(attack, header, value):
    attack(altered(header, value), "unsigned")


@pytest.mark.parametrize(
    ("header", "outcome"),
    [
        ("Timestamp", "stale"),
        ("Nonce", "signature_invalid"),
        ("Signature", "signature_invalid"),
        ("Serial", "unknown_serial"),
    ],
)
@pytest.mark.parametrize("value", ["junk", "A" * 7000, "0", "%00", "${jndi:ldap://x}", "x, x"])
def test_t1_t2_junk_in_a_signature_header_is_refused(attack, header, outcome, value):
    row = attack(altered(header, value), outcome)
    assert len(row.headers[f"Wechatpay-{header}"]) <= 1024


@pytest.mark.parametrize("header", ["Timestamp", "Nonce", "Signature", "Serial"])
@pytest.mark.parametrize("value", cases({"latin": "é", "bytes": "\x80\xff", "folded": "a\r\n b", "nul": "a\0b"}))
def test_t1_t2_characters_that_wechat_never_sends_are_refused(attack, header, value):
    attack(altered(header, value), "signature_invalid")


@pytest.mark.parametrize("header", ["Timestamp", "Nonce", "Signature", "Serial"])
def test_t2_a_header_sent_twice_is_not_read_as_either(attack, header):
    signed = genuine()
    given = signed.headers[f"Wechatpay-{header}"]
    outcome = {"Timestamp": "stale", "Serial": "unknown_serial"}.get(header, "signature_invalid")
    attack(altered(header, f"{given},{given}", signed), outcome)


MODULUS = PLATFORM.private_key.public_key().public_numbers().n
FORGED_SIGNATURES = {
    "zero": bytes(256),
    "one": (1).to_bytes(256),
    "modulus": MODULUS.to_bytes(256),
    "modulus less one": (MODULUS - 1).to_bytes(256),
    "false padding": b"\x00\x01" + b"\xff" * 221 + b"\x00" + hashlib.sha256(b"").digest(),
    "empty sha256": hashlib.sha256(b"").digest(),
}


@pytest.mark.parametrize("signature", cases(FORGED_SIGNATURES))
def test_t3_a_constant_for_a_signature_is_refused(attack, signature):
    attack(altered("Signature", base64.b64encode(signature).decode()), "signature_invalid")


@pytest.mark.parametrize("position", [0, 1, 127, 254, 255])
def test_t3_a_flipped_bit_is_refused(attack, position):
    signed = genuine()
    signature = bytearray(base64.b64decode(signed.headers["Wechatpay-Signature"]))
    signature[position] ^= 1
    attack(altered("Signature", base64.b64encode(signature).decode(), signed), "signature_invalid")


REWRITTEN = {
    "truncated": lambda s: s[:-4],
    "hex": lambda s: base64.b64decode(s).hex(),
    "twice": lambda s: s + s,
    "without padding": lambda s: s.rstrip("="),
    "more padding": lambda s: s + "====",
    "url-safe": lambda s: base64.urlsafe_b64encode(base64.b64decode(s) + b"\xff\xfe").decode(),
    "T4 junk inside": lambda s: f"{s[:9]}!{s[9:]}",
    "T4 space inside": lambda s: f"{s[:9]} {s[9:]}",
    "T4 dash inside": lambda s: f"{s[:9]}-{s[9:]}",
    "T4 junk behind": lambda s: s + "!",
    "T4 text behind": lambda s: s + "AAAA",
    "T4 padding inside": lambda s: f"{s[:8]}={s[8:]}",
}


@pytest.mark.parametrize("rewrite", cases(REWRITTEN))
def test_t3_t4_a_signature_written_otherwise_is_refused(attack, rewrite):
    signed = genuine()
    attack(altered("Signature", rewrite(signed.headers["Wechatpay-Signature"]), signed), "signature_invalid")


@pytest.mark.parametrize("rest", cases({"nothing": "", "junk": "é!", "the right signature": None}))
def test_t5_a_probe_is_refused_told_apart_and_followed_by_the_real_one(attack, accept, connect, rest):
    alerts = connect(signals.notification_rejected, "shop.alerts")
    signed = genuine()
    rest = signed.headers["Wechatpay-Signature"] if rest is None else rest
    attack(altered("Signature", f"WECHATPAY/SIGNTEST/{rest}".encode("ascii", "ignore").decode(), signed), "probe")
    assert not alerts.calls
    accept(signed)


def test_t6_t15_the_attackers_key_under_the_real_serial_is_refused(attack):
    forger = Platform(private_key=ATTACKER.private_key, api_v3_key=PLATFORM.api_v3_key)
    attack(forger.payment_v3(NUMBER, 100), "signature_invalid")


def test_t7_a_key_is_never_taken_from_a_message(attack):
    signed = ATTACKER.payment_v3(NUMBER, 100)
    offered = signed.headers | {
        "Wechatpay-Certificate": base64.b64encode(ATTACKER.public_pem().encode()).decode(),
        "X-Ssl-Cert": ATTACKER.public_pem().replace("\n", " "),
        "Wechatpay-Serial": "https://127.0.0.1:1/cert.pem",
    }
    attack(Signed(offered, signed.body), "unknown_serial")


CERTIFICATE_SERIAL = "0A57F09EFDC096DE15EBE81A47057A72320B0002"


@pytest.mark.parametrize(
    "serial",
    [
        CERTIFICATE_SERIAL.lower(),
        CERTIFICATE_SERIAL.lstrip("0"),
        "00" + CERTIFICATE_SERIAL,
        "0x" + CERTIFICATE_SERIAL,
        str(int(CERTIFICATE_SERIAL, 16)),
        CERTIFICATE_SERIAL + " ",
        " " + CERTIFICATE_SERIAL,
        ":".join(CERTIFICATE_SERIAL[i : i + 2] for i in range(0, 40, 2)),
        PLATFORM.serial.lower(),
        PLATFORM.serial[:-1],
    ],
)
def test_t8_a_serial_is_looked_up_exactly(attack, configure, serial):
    configure(PLATFORM_KEYS={CERTIFICATE_SERIAL: PLATFORM.public_pem(), PLATFORM.serial: ATTACKER.public_pem()})
    attack(altered("Serial", serial), "unknown_serial")


def test_t8_a_right_signature_under_the_serial_of_another_trusted_key_is_refused(attack, configure):
    configure(PLATFORM_KEYS={CERTIFICATE_SERIAL: ATTACKER.public_pem(), PLATFORM.serial: PLATFORM.public_pem()})
    attack(altered("Serial", CERTIFICATE_SERIAL), "signature_invalid")


@pytest.mark.parametrize("configured", [CERTIFICATE_SERIAL, CERTIFICATE_SERIAL.lower(), CERTIFICATE_SERIAL.lstrip("0")])
def test_t8_a_configured_serial_is_normalised(accept, configure, configured):
    configure(PLATFORM_KEYS={configured: PLATFORM.public_pem()})
    accept(altered("Serial", CERTIFICATE_SERIAL))


HOSTILE = [
    "../../../../etc/passwd",
    "file:///etc/passwd",
    "http://127.0.0.1:1/latest/meta-data",
    "ldap://127.0.0.1:1/a",
    "*)(uid=*",
    "' OR '1'='1' --",
    "{{ 7*7 }}{% debug %}",
    "%s%n%(x)s{0.__class__}",
    "<script>alert(1)</script>",
    "(a+)+$" * 20,
    "__class__",
    "PUB_KEY_ID_" + "9" * 6000,
]


@pytest.mark.parametrize("serial", HOSTILE, ids=range(len(HOSTILE)))
def test_t9_a_hostile_serial_is_only_looked_up(attack, serial):
    row = attack(altered("Serial", serial), "unknown_serial")
    assert len(row.detail) <= 500


def test_t10_a_flood_of_unknown_serials_does_no_harm_to_the_genuine_one(client, accept):
    with time_machine.travel(1_795_000_000, tick=False):
        signed = genuine()
        for _ in range(200):
            flood = altered("Serial", secrets.token_hex(20).upper(), signed)
            assert flood.post(client, NOTIFY).status_code == 401
        assert NotificationLog.objects.count() == conf.REJECTED_LOG_PER_MINUTE
        accept(signed)


def signature_by(padding, algorithm):
    return lambda message: PLATFORM.private_key.sign(message, padding, algorithm)


OTHER_SCHEMES = {
    "PSS": signature_by(PSS(MGF1(hashes.SHA256()), 32), hashes.SHA256()),
    "SHA-1": signature_by(PKCS1v15(), hashes.SHA1()),
    "SHA-512": signature_by(PKCS1v15(), hashes.SHA512()),
    "HMAC under the public key": lambda m: hmac.digest(PLATFORM.public_pem().encode(), m, "sha256"),
    "HMAC under the APIv3 key": lambda m: hmac.digest(PLATFORM.api_v3_key.encode(), m, "sha256"),
}


def signed_otherwise(sign, text="{timestamp}\n{nonce}\n{body}\n"):
    """A genuine notification, its signature replaced by one over other text or by another scheme."""
    signed = genuine()
    parts = {name: signed.headers[f"Wechatpay-{name.title()}"] for name in ("timestamp", "nonce")}
    signature = sign(text.format(body=signed.body.decode(), **parts).encode())
    return altered("Signature", base64.b64encode(signature).decode(), signed)


@pytest.mark.parametrize("sign", cases(OTHER_SCHEMES))
def test_t11_another_signature_scheme_is_refused(attack, sign):
    attack(signed_otherwise(sign), "signature_invalid")


@pytest.mark.parametrize(
    "named",
    ["none", "", "WECHATPAY2-SM2-WITH-SM3", "WECHATPAY2-SHA256-RSA2048 ", "wechatpay2-sha256-rsa2048", "HMAC", "*"],
)
def test_t11_an_unknown_signature_type_is_refused_even_with_a_good_signature(attack, named):
    attack(altered("Signature-Type", named), "algorithm_refused")


def test_t11_without_a_signature_type_it_is_rsa(accept):
    accept(altered("Signature-Type", None))


@pytest.mark.parametrize(
    "text",
    cases({
        "no separators": "{timestamp}{nonce}{body}",
        "body alone": "{body}",
        "no line feed at the end": "{timestamp}\n{nonce}\n{body}",
        "carriage returns": "{timestamp}\r\n{nonce}\r\n{body}\r\n",
        "nonce first": "{nonce}\n{timestamp}\n{body}\n",
        "a request's form": "POST\n/wechatpay/notify/\n{timestamp}\n{nonce}\n{body}\n",
        "another nonce": "{timestamp}\nx{nonce}\n{body}\n",
        "another body": "{timestamp}\n{nonce}\n{body} \n",
    }),
)  # fmt: skip
def test_t12_a_signature_over_other_text_is_refused(attack, text):
    attack(signed_otherwise(signature_by(PKCS1v15(), hashes.SHA256()), text), "signature_invalid")


ALTERATIONS = {
    "line feed": lambda b: b + b"\n",
    "space in front": lambda b: b" " + b,
    "byte order mark": lambda b: b"\xef\xbb\xbf" + b,
    "re-serialised": lambda b: json.dumps(json.loads(b)).encode(),
    "other case": bytes.swapcase,
    "truncated": lambda b: b[:-1],
    "empty": lambda _: b"",
    "NUL": lambda b: b + b"\0",
    "UTF-16": lambda b: b.decode().encode("utf-16"),
    "gzip": gzip.compress,
    "duplicate name": lambda b: b[:-1] + b', "id": "x"}',
    "other event": lambda b: b.replace(b"TRANSACTION.SUCCESS", b"TRANSACTION.SUCCESs"),
    "twice": lambda b: b + b,
}


@pytest.mark.parametrize("alter", cases(ALTERATIONS))
def test_t13_a_body_altered_after_signing_is_refused(attack, alter):
    signed = genuine()
    attack(signed.with_body(alter(signed.body)), "signature_invalid")
