"""Protocol: how much verifying, decrypting and parsing cost here, beside direct library calls and other packages.

Never opens a socket or a database. Prints ratios, because times of one machine say nothing on another.
"""

import argparse
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from itertools import cycle
from typing import Any
from xml.parsers import expat

import wechatpayv3
import wechatpy.pay
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from rounds import VERDICT_HEAD, Goal, Measure, interleave, table, verdicts

from wechatpay_notify.conf import parse_merchant
from wechatpay_notify.protocol import results, v2, v3
from wechatpay_notify.testing import APPID, Platform, Signed

PLATFORM = Platform()
MERCHANT = parse_merchant("default", PLATFORM.merchant(), tolerance=300).merchant
PUBLIC_KEYS: dict[str, RSAPublicKey] = {PLATFORM.serial: PLATFORM.private_key.public_key()}
MESSAGES = 64
"""Different requests in turn, so that no cache of a single one helps anybody."""

GOALS = (
    Goal("v3 ours", "v3 direct calls", 1.15),
    Goal("v3 ours, no result", "v3 direct calls"),
    Goal("v3 ours", "v3 wechatpayv3"),
    Goal("v3 wechatpayv3", "v3 direct calls"),
    Goal("v2 ours", "v2 wechatpy", 1.0),
    Goal("v2 ours", "v2 direct calls"),
    Goal("v2 wechatpy", "v2 direct calls"),
)


def ours_v3(signed: Signed) -> Any:
    return results.read(v3.parse_notification(signed.headers, signed.body, MERCHANT, now=time.time()))[0]


def proven_v3(signed: Signed) -> Any:
    """Ours without the typed result: what the direct calls do, with all checks."""
    return v3.parse_notification(signed.headers, signed.body, MERCHANT, now=time.time()).resource


def direct_v3(signed: Signed) -> Any:
    """The least code that is correct: key by serial, freshness, signature over the raw bytes, decrypt, parse."""
    headers, body = signed.headers, signed.body
    timestamp = headers["Wechatpay-Timestamp"]
    if abs(time.time() - int(timestamp)) > 300:
        raise ValueError("stale")
    message = f"{timestamp}\n{headers['Wechatpay-Nonce']}\n".encode() + body + b"\n"
    signature = base64.b64decode(headers["Wechatpay-Signature"])
    PUBLIC_KEYS[headers["Wechatpay-Serial"]].verify(signature, message, PKCS1v15(), SHA256())
    resource = json.loads(body)["resource"]
    plaintext = AESGCM(PLATFORM.api_v3_key.encode()).decrypt(
        resource["nonce"].encode(),
        base64.b64decode(resource["ciphertext"]),
        resource["associated_data"].encode(),
    )
    return json.loads(plaintext)


def theirs_v3() -> Callable[[Signed], Any]:
    """wechatpayv3's callback(), given the public key, so that it asks WeChat nothing."""
    pem = PLATFORM.private_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    client = wechatpayv3.WeChatPay(
        wechatpay_type=wechatpayv3.WeChatPayType.JSAPI,
        mchid=PLATFORM.mchid,
        private_key=pem.decode(),
        cert_serial_no="00",
        appid=APPID,
        apiv3_key=PLATFORM.api_v3_key,
        public_key=PLATFORM.public_pem(),
        public_key_id=PLATFORM.serial,
    )
    return lambda signed: client.callback(signed.headers, signed.body)["resource"]


def ours_v2(signed: Signed) -> Any:
    return results.read(v2.parse_notification(signed.headers, signed.body, MERCHANT, now=time.time()))[0]


def direct_v2(signed: Signed) -> Any:
    """The least code that is correct: expat, the sorted fields, MD5, a comparison in constant time."""
    fields: dict[str, str] = {}
    text: list[str] = []

    def start(_name: str, _attributes: object) -> None:
        text.clear()

    def end(name: str) -> None:
        fields[name] = "".join(text)
        text.clear()

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text.append
    parser.Parse(signed.body, True)
    del fields["xml"]
    joined = "&".join(f"{name}={value}" for name, value in sorted(fields.items()) if value and name != "sign")
    expected = hashlib.md5(f"{joined}&key={PLATFORM.api_v2_key}".encode()).hexdigest().upper()
    if not hmac.compare_digest(expected, fields["sign"]):
        raise ValueError("signature")
    fields["total_fee"] = int(fields["total_fee"])  # type: ignore[assignment]
    return fields


def theirs_v2() -> Callable[[Signed], Any]:
    client = wechatpy.pay.WeChatPay(appid=APPID, api_key=PLATFORM.api_v2_key, mch_id=PLATFORM.mchid)
    return lambda signed: client.parse_payment_result(signed.body)


def turns(call: Callable[[Signed], Any], requests: list[Signed], calls: int) -> Measure:
    """A contender that treats `calls` requests a turn; its cost is this thread's own processor time a call."""
    endless = cycle(requests)

    def turn() -> float:
        batch = [next(endless) for _ in range(calls)]
        started = time.thread_time()
        for signed in batch:
            call(signed)
        return (time.thread_time() - started) / calls

    return turn


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--quick", action="store_true", help="a smoke run: the figures mean little")
    quick = options.parse_args().quick
    rounds, calls = (10, 20) if quick else (300, 60)
    v3_requests = [PLATFORM.payment_v3(f"P-{number:06d}", 100 + number) for number in range(MESSAGES)]
    v2_requests = [PLATFORM.payment_v2(f"P-{number:06d}", 100 + number) for number in range(MESSAGES)]
    contenders = {
        "v3": {
            "v3 ours": ours_v3,
            "v3 ours, no result": proven_v3,
            "v3 direct calls": direct_v3,
            "v3 wechatpayv3": theirs_v3(),
        },
        "v2": {"v2 ours": ours_v2, "v2 direct calls": direct_v2, "v2 wechatpy": theirs_v2()},
    }
    costs: dict[str, list[float]] = {}
    for version, requests in (("v3", v3_requests), ("v2", v2_requests)):
        for call in contenders[version].values():
            _agree(call(requests[0]), "P-000000")
        measures = {name: turns(call, requests, calls) for name, call in contenders[version].items()}
        costs |= interleave(measures, rounds, version)
    print(f"\nProcessor time a call, {rounds} interleaved rounds of {calls} calls each\n")
    print(table(VERDICT_HEAD, verdicts(costs, GOALS)))


def _agree(result: Any, number: str) -> None:
    """Every contender must have read the same thing before its speed means anything."""
    read = result["out_trade_no"] if isinstance(result, dict) else result.out_trade_no
    assert read == number, f"read {read!r} instead of {number!r}"


if __name__ == "__main__":
    main()
