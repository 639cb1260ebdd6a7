"""Why a request is no notification: one family of errors, each naming its outcome and the mend.

Never carries a secret; `detail` is for the shop's admin and log, never for the answer.
"""

from typing import ClassVar


def gettext_noop(message: str) -> str:
    """The text itself, marked under a name that makemessages knows; whoever shows it translates it."""
    return message


class NotificationError(Exception):
    """Base of all refusals.

    `code` is the outcome (design: outcome table), `hint` what the shop can do about it, `detail` the facts of
    this case. `proven` says whether the sender had been proven to be WeChat when the refusal was made.
    """

    code: ClassVar[str] = "error"
    hint: ClassVar[str] = ""

    def __init__(self, detail: str = "", *, proven: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.proven = proven


class Unsigned(NotificationError):
    code = "unsigned"
    hint = gettext_noop(
        "A signature header (v3) or the sign element (v2) is missing. If WeChat sent this, a proxy, CDN or firewall "
        "in front of Django drops the Wechatpay-* headers: let them through. Otherwise somebody knocked; do nothing."
    )


class SignatureInvalid(NotificationError):
    code = "signature_invalid"
    hint = gettext_noop(
        "The signature does not belong to this body and key. If WeChat sent this: something in front of Django "
        "changed the body, or the key of this merchant is wrong (v3: PLATFORM_KEYS; v2: API_V2_KEY)."
    )


class Probe(NotificationError):
    code = "probe"
    hint = gettext_noop(
        "WeChat tests now and then whether the shop verifies signatures, with a signature that begins "
        "WECHATPAY/SIGNTEST/. Refusing it is right; the real notification follows. Nothing to do."
    )


class Stale(NotificationError):
    code = "stale"
    hint = gettext_noop(
        "The timestamp is too far from this server's clock. WeChat signs every retry anew, so a genuine one is never "
        "stale: check that NTP keeps this server's clock, or the request is a replay."
    )


class UnknownSerial(NotificationError):
    code = "unknown_serial"
    hint = gettext_noop(
        "No valid key in PLATFORM_KEYS has this serial. During the switch from platform certificate to WeChat Pay "
        "public key WeChat signs with both: configure both. A renewed certificate must be added beside the old one."
    )


class AlgorithmRefused(NotificationError):
    code = "algorithm_refused"
    hint = gettext_noop(
        "The message names an algorithm that is not accepted here. Accepted: WECHATPAY2-SHA256-RSA2048 with "
        "AEAD_AES_256_GCM (v3); what V2_SIGN_TYPE allows (v2). If WeChat really uses the other one, change "
        "V2_SIGN_TYPE; SM2 and SM4 (国密) are not supported: ask it for an RSA certificate or the WeChat Pay public "
        "key. The message itself never decides."
    )


class Malformed(NotificationError):
    code = "malformed"
    hint = gettext_noop(
        "The body is no WeChat Pay notification of this version, or a field it must have is missing or of the wrong "
        "type. See the detail; a body of the other API version belongs to the other URL."
    )


class TooLarge(NotificationError):
    code = "too_large"
    hint = gettext_noop(
        "The body is larger than any notification WeChat documents: MAX_BODY_BYTES for v3, 64 KiB for v2."
    )


class Undecryptable(NotificationError):
    code = "undecryptable"
    hint = gettext_noop(
        "The signature is WeChat's, but the resource cannot be decrypted: API_V3_KEY is not the APIv3 key set on the "
        "merchant platform. While it is being changed, configure a list with the old and the new one. WeChat will "
        "send the notification again."
    )


class SourceRefused(NotificationError):
    code = "source_refused"
    hint = gettext_noop(
        "The signature is WeChat's, the address is not in SOURCE_NETWORKS, and SOURCE_POLICY is \"reject\". WeChat's "
        "addresses change: if this is a new one, add it and the next attempt within 24 hours is taken. If it is your "
        "proxy's, name the proxy in TRUSTED_PROXIES. Otherwise somebody sent a captured request again."
    )


class Misconfigured(NotificationError):
    code = "misconfigured"
    hint = gettext_noop(
        'A key of this merchant, or with SOURCE_POLICY = "reject" a list of networks, cannot be used. '
        "Run `manage.py check`: it names the setting and the mend."
    )
