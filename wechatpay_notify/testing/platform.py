"""Platform: one pretend WeChat with one merchant's keys; makes and signs what WeChat would send."""

import base64
import dataclasses
import json
import secrets
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from cryptography.hazmat.primitives.hashes import SHA256

from wechatpay_notify.protocol import v2, v3
from wechatpay_notify.protocol.keys import DEVELOPMENT_SERIAL
from wechatpay_notify.protocol.moments import BEIJING
from wechatpay_notify.protocol.sealed import ALGORITHM
from wechatpay_notify.protocol.types import SignType

from . import contents
from .contents import OPENID
from .signed import Signed, xml

MCHID = "1900000109"
APPID = "wxd678efh567hg6787"


def _new_key() -> RSAPrivateKey:
    return generate_private_key(public_exponent=65537, key_size=2048)


_throw_away_key = cache(_new_key)
"""One key for every Platform of a process: making one takes a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Platform:
    """One pretend WeChat with one merchant's keys.

    `merchant()` is the entry for MERCHANTS; `payment_v3`, `payment_v2`, `combined_v3`, `refund_v3` and `refund_v2` make
    whole notifications, `v3` and `v2` sign anything.
    """

    mchid: str = MCHID
    appid: str = APPID
    serial: str = DEVELOPMENT_SERIAL
    private_key: RSAPrivateKey = field(default_factory=_throw_away_key, repr=False)
    api_v3_key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    api_v2_key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def merchant(self, **overrides: Any) -> dict[str, Any]:
        """This merchant as an entry of the MERCHANTS setting."""
        return {
            "MCHID": self.mchid,
            "API_V3_KEY": self.api_v3_key,
            "PLATFORM_KEYS": {self.serial: self.public_pem()},
            "API_V2_KEY": self.api_v2_key,
        } | overrides

    def stranger(self) -> "Platform":
        """Somebody who knows every number and key of this one but signs with another RSA key: a forger of v3."""
        return dataclasses.replace(self, private_key=_new_key())

    def public_pem(self) -> str:
        """The WeChat Pay public key that belongs in PLATFORM_KEYS."""
        public_key = self.private_key.public_key()
        return public_key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        ).decode()

    def payment_v3(
        self,
        out_trade_no: str,
        amount: int,
        /,
        *,
        transaction_id: str = "",
        sub_mchid: str = "",
        notification_id: str = "",
        event_type: str = "TRANSACTION.SUCCESS",
        timestamp: int | None = None,
        **fields: Any,
    ) -> Signed:
        """A v3 payment; `fields` replace or add resource fields. `amount` in fen.

        With `sub_mchid` it is a sub-merchant's, and this merchant the service provider.
        """
        return self.v3(
            event_type,
            self.payment_resource(out_trade_no, amount, transaction_id=transaction_id, sub_mchid=sub_mchid, **fields),
            notification_id=notification_id,
            timestamp=timestamp,
        )

    def payment_resource(
        self, out_trade_no: str, amount: int, /, *, transaction_id: str = "", sub_mchid: str = "", **fields: Any
    ) -> dict[str, Any]:
        """The resource of a v3 payment, as it is before encryption."""
        said = contents.payment_v3(out_trade_no, amount, transaction_id or transaction_number())
        said["sp_appid" if sub_mchid else "appid"] = self.appid
        said["payer"] = {"sp_openid" if sub_mchid else "openid": OPENID}
        return contents.whose_v3(self.mchid, sub_mchid) | said | fields

    def combined_v3(self, combine_out_trade_no: str, sub_orders: Mapping[str, int], /, **fields: Any) -> Signed:
        """A v3 payment of a combined order (合单); `sub_orders` are their out_trade_no → amount in fen.

        `fields` replace or add resource fields.
        """
        resource = {
            "combine_appid": self.appid,
            "combine_mchid": self.mchid,
            "combine_out_trade_no": combine_out_trade_no,
            "sub_orders": [
                contents.whose_v3(self.mchid) | contents.sub_order(out_trade_no, amount, transaction_number())
                for out_trade_no, amount in sub_orders.items()
            ],
            "combine_payer_info": {"openid": OPENID},
        }
        return self.v3("TRANSACTION.SUCCESS", resource | fields)

    def payment_v2(
        self,
        out_trade_no: str,
        amount: int,
        /,
        *,
        transaction_id: str = "",
        sign_type: SignType = "MD5",
        **fields: str,
    ) -> Signed:
        """A v2 payment of a direct merchant; `fields` replace or add elements. `amount` in fen."""
        said = contents.payment_v2(out_trade_no, amount, transaction_id or transaction_number())
        return self.v2({"appid": self.appid, "mch_id": self.mchid} | said | fields, sign_type=sign_type)

    def refund_v3(
        self,
        out_trade_no: str,
        amount: int,
        /,
        *,
        total: int,
        transaction_id: str,
        out_refund_no: str,
        status: str = "SUCCESS",
        sub_mchid: str = "",
        notification_id: str = "",
        event_type: str = "",
        timestamp: int | None = None,
        **fields: Any,
    ) -> Signed:
        """A v3 refund: `amount` of the `total` that was ordered, both in fen. `sub_mchid` as in `payment_v3`."""
        numbers = contents.refund_numbers(out_trade_no, transaction_id, out_refund_no)
        said = numbers | contents.refund_v3(amount, total, status)
        return self.v3(
            event_type or f"REFUND.{status}",
            contents.whose_v3(self.mchid, sub_mchid) | said | fields,
            notification_id=notification_id,
            timestamp=timestamp,
        )

    def refund_v2(
        self,
        out_trade_no: str,
        amount: int,
        /,
        *,
        total: int,
        transaction_id: str,
        out_refund_no: str,
        status: str = "SUCCESS",
        outer: Mapping[str, str] | None = None,
        **fields: str,
    ) -> Signed:
        """A v2 refund, which is encrypted and not signed; `status` SUCCESS, CHANGE or REFUNDCLOSE, amounts in fen.

        `fields` replace or add elements inside `req_info`, `outer` those around it.
        """
        numbers = contents.refund_numbers(out_trade_no, transaction_id, out_refund_no)
        said = numbers | contents.refund_v2(amount, total, status)
        around = {
            "return_code": "SUCCESS",
            "appid": self.appid,
            "mch_id": self.mchid,
            "nonce_str": uuid.uuid4().hex,
            "req_info": self.req_info(xml(said | fields, "root").body),
        }
        return xml(around | dict(outer or {}))

    def req_info(self, plaintext: bytes) -> str:
        """These bytes as the `req_info` of a v2 refund."""
        padding = v2.AES_BLOCK - len(plaintext) % v2.AES_BLOCK
        encryptor = Cipher(AES(v2.req_info_key(self.api_v2_key)), ECB()).encryptor()  # noqa: S305 (WeChat's choice)
        sealed = encryptor.update(plaintext + bytes([padding]) * padding) + encryptor.finalize()
        return base64.b64encode(sealed).decode()

    def v3(
        self,
        event_type: str,
        resource: Mapping[str, Any],
        *,
        notification_id: str = "",
        timestamp: int | None = None,
        **envelope: Any,
    ) -> Signed:
        """Any v3 notification: encrypts `resource`, signs the body. `timestamp` in Unix seconds, now by default."""
        body = {
            "id": notification_id or str(uuid.uuid4()),
            "create_time": datetime.now(BEIJING).isoformat(timespec="seconds"),
            "resource_type": "encrypt-resource",
            "event_type": event_type,
            "summary": "通知",
            "resource": self.encrypt(json.dumps(resource, ensure_ascii=False).encode()),
        } | envelope
        return self.sign_v3(json.dumps(body, ensure_ascii=False).encode(), timestamp=timestamp)

    def encrypt(self, plaintext: bytes, *, associated_data: str = "transaction") -> dict[str, str]:
        """A `resource` object around this plaintext."""
        nonce = secrets.token_hex(6)
        sealed = AESGCM(self.api_v3_key.encode()).encrypt(nonce.encode(), plaintext, associated_data.encode())
        return {
            "original_type": "transaction",
            "algorithm": ALGORITHM,
            "ciphertext": base64.b64encode(sealed).decode(),
            "associated_data": associated_data,
            "nonce": nonce,
        }

    def sign_v3(self, body: bytes, *, timestamp: int | None = None) -> Signed:
        """These exact bytes, signed now (or at `timestamp`)."""
        moment, nonce = str(int(time.time()) if timestamp is None else timestamp), secrets.token_hex(16)
        message = f"{moment}\n{nonce}\n".encode() + body + b"\n"
        signature = self.private_key.sign(message, PKCS1v15(), SHA256())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Mozilla/4.0",
            "Request-ID": str(uuid.uuid4()),
            "Wechatpay-Timestamp": moment,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Serial": self.serial,
            "Wechatpay-Signature": base64.b64encode(signature).decode(),
            "Wechatpay-Signature-Type": v3.SIGNATURE_TYPE,
        }
        return Signed(headers, body)

    def v2(self, fields: Mapping[str, str], *, sign_type: SignType = "MD5") -> Signed:
        """Any v2 notice: adds `sign`, writes the XML. No sign_type element, as WeChat leaves it out."""
        sign = v2.signature(fields, self.api_v2_key, sign_type)
        return xml(dict(fields) | {"sign": sign})

    def event_v2(
        self,
        event_type: str,
        fields: Mapping[str, str],
        *,
        event_id: str = "",
        sign_type: SignType = "HMAC-SHA256",
        **outer: str,
    ) -> Signed:
        """A v2 notice of deposit-free rental or stay: encrypts `fields`, signs the whole; `outer` replaces elements."""
        sealed = self.encrypt(xml(fields).body, associated_data="")
        notice = {
            "mch_id": self.mchid,
            "appid": self.appid,
            "algorithm": sign_type,
            "nonce_str": uuid.uuid4().hex,
            "event_id": event_id or str(uuid.uuid4()),
            "event_create_time": datetime.now(BEIJING).strftime("%Y%m%d%H%M%S"),
            "event_type": event_type,
            "event_algorithm": sealed["algorithm"],
            "event_nonce": sealed["nonce"],
            "event_ciphertext": sealed["ciphertext"],
        }
        return self.v2(notice | outer, sign_type=sign_type)

    def scan_v2(self, product_id: str, *, sign_type: SignType = "MD5", **fields: str) -> Signed:
        """A v2 question: a product code was scanned, what is to be paid? `fields` replace or add elements."""
        question = {
            "appid": self.appid,
            "openid": OPENID,
            "mch_id": self.mchid,
            "is_subscribe": "N",
            "nonce_str": uuid.uuid4().hex,
            "product_id": product_id,
        }
        return self.v2(question | fields, sign_type=sign_type)


def transaction_number() -> str:
    """A transaction number of WeChat's form: 28 digits."""
    return f"42{secrets.randbelow(10**26):026d}"
