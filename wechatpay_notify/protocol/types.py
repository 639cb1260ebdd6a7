"""The values the protocol works with: who we are, what was said, what it means for money.

Never carries behaviour; money is always an integer of the currency's minor unit (fen for CNY).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

Version = Literal["v2", "v3"]
Kind = Literal["payment", "refund", "event"]
SignType = Literal["MD5", "HMAC-SHA256"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformKey:
    """A key WeChat signs with: from a platform certificate, or a WeChat Pay public key (`PUB_KEY_ID_…`)."""

    serial: str
    public_key: RSAPublicKey = field(repr=False)
    not_before: float | None = None
    """Unix seconds; None for a public key, which does not expire."""
    not_after: float | None = None
    owner: str = ""
    """Common name of the certificate: Tenpay's for a platform certificate, a merchant number for apiclient_cert.pem."""
    certificate_serial: str = ""
    """The serial in the certificate itself, as the header writes it; "" for a public key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """One entry of the MERCHANTS setting, parsed. Keys never appear in its `repr`."""

    alias: str = "default"
    mchid: str
    """商户号: the direct merchant's number, or the service provider's."""
    appids: frozenset[str] | None = None
    sub_mchids: frozenset[str] | None = None
    api_v3_keys: tuple[bytes, ...] = field(default=(), repr=False)
    platform_keys: Mapping[str, PlatformKey] = field(default_factory=dict)
    """By the exact text of the Wechatpay-Serial header."""
    api_v2_keys: tuple[str, ...] = field(default=(), repr=False)
    v2_sign_type: SignType = "MD5"
    """The weakest v2 algorithm accepted."""
    timestamp_tolerance: int = 300
    """Seconds a v3 timestamp may differ from the clock, both ways."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """A request proven to come from WeChat, decrypted, its meaning not yet judged."""

    version: Version
    kind: Kind
    notification_id: str
    """v3 envelope `id`; v2: the `event_id` beside an event_ciphertext, else ""."""
    event_type: str
    """v3 envelope `event_type`. v2: that of an event_ciphertext, a name by shape (`v2.SCAN` …), else ""."""
    resource: Mapping[str, Any] = field(repr=False)
    """v3: the decrypted JSON object. v2: element name → text, `sign` included; of an event_ciphertext what it holds."""
    created_at: datetime | None
    """v3 envelope `create_time`, v2 `event_create_time`: when WeChat first made this notification."""
    digest: str
    """SHA-256 (hex) of what was signed and meant; the same for every redelivery of a v2 notice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentResult:
    """What WeChat says of one payment; from a notification or from a query answer."""

    mchid: str
    """The direct merchant, or the service provider (sp_mchid)."""
    sub_mchid: str = ""
    appid: str = ""
    sub_appid: str = ""
    out_trade_no: str
    combine_out_trade_no: str = ""
    transaction_id: str = ""
    trade_type: str = ""
    trade_state: str
    """SUCCESS REFUND NOTPAY CLOSED REVOKED USERPAYING PAYERROR ACCEPT PAY_FAIL; a failed v2 result is PAYERROR."""
    amount: int = 0
    """What was ordered (`amount.total`, `total_fee`); 0 if a failed payment names none."""
    currency: str = "CNY"
    payer_total: int | None = None
    """What the payer paid after discounts; 0 is a complete payment. Never compare it with the order."""
    payer_currency: str = "CNY"
    bank_type: str = ""
    openid: str = field(default="", repr=False)
    sub_openid: str = field(default="", repr=False)
    attach: str = field(default="", repr=False)
    success_time: datetime | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundResult:
    """What WeChat says of one refund; from a notification or from a query answer."""

    mchid: str
    """The direct merchant, or the service provider (sp_mchid)."""
    sub_mchid: str = ""
    appid: str = ""
    """Only v2 names one."""
    out_trade_no: str
    transaction_id: str
    """The payment that is refunded."""
    out_refund_no: str
    refund_id: str
    refund_status: str
    """SUCCESS ABNORMAL CLOSED, and PROCESSING in query answers; v2's own words are translated."""
    amount: int
    """What is refunded (`amount.refund`, `refund_fee`)."""
    total: int
    """What was ordered (`amount.total`, `total_fee`)."""
    currency: str = ""
    """Only global refunds name one."""
    success_time: datetime | None = None
    is_hint: bool = False
    """A v2 notice, which is encrypted and not signed: believed only where the shop's own record agrees with it."""
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


Result = PaymentResult | RefundResult


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedOrder:
    """What the shop expects to be paid: the answer of ORDER_RESOLVER."""

    amount: int
    """Minor unit (fen), as ordered."""
    currency: str = "CNY"
    appid: str = ""
    sub_mchid: str = ""
    reference: str = ""
    """The shop's own order number; two WeChat orders with one reference are paid once."""
    description: str = ""
    closed: bool = False
