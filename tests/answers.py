"""The answers as the outcome table of the design promises them, to the byte; written down once, apart from the code."""

import json

from wechatpay_notify.models import NotificationLog

ANSWERS = {
    "confirmed": (200, ""),
    "duplicate": (200, ""),
    "refunded": (200, ""),
    "received": (200, ""),
    "payment_failed": (200, ""),
    "unexpected": (200, ""),
    "receiver_failed": (503, "retry"),
    "no_receiver": (503, "retry"),
    "busy": (503, "retry"),
    "unknown_order": (409, "rejected"),
    "amount_mismatch": (409, "rejected"),
    "conflict": (409, "rejected"),
    "wrong_merchant": (403, "rejected"),
    "source_refused": (403, "rejected"),
    "malformed": (400, "malformed"),
    "undecryptable": (503, "retry"),
    "signature_invalid": (401, "unauthorized"),
    "probe": (401, "unauthorized"),
    "stale": (401, "unauthorized"),
    "unknown_serial": (401, "unauthorized"),
    "algorithm_refused": (401, "unauthorized"),
    "unsigned": (401, "unauthorized"),
    "too_large": (413, "rejected"),
    "unavailable": (503, "retry"),
    "misconfigured": (503, "retry"),
    "error": (500, "retry"),
}
KEEP_THEIR_STATUS_IN_V2 = ("too_large", "error", "misconfigured", "unavailable")


def answer(version, outcome):
    """Status and exact body of an answer, from the outcome table."""
    status, word = ANSWERS[outcome]
    return (status, body_v3(word)) if version == "v3" else (status_v2(outcome), body_v2(word))


def outcome(client, signed):
    """Post it; the answer is exactly what the outcome table promises for the outcome that is returned."""
    response = signed.post(client, "/wechatpay/notify/")
    row = NotificationLog.objects.latest("pk")
    assert (response.status_code, response.content) == answer(row.api_version, row.outcome)
    return row.outcome


def status_v2(outcome):
    return ANSWERS[outcome][0] if outcome in KEEP_THEIR_STATUS_IN_V2 else 200


def body_v3(word):
    return (json.dumps({"code": "FAIL", "message": word}) if word else '{"code": "SUCCESS"}').encode()


def body_v2(word):
    code, word = ("FAIL", word) if word else ("SUCCESS", "OK")
    text = f"<xml><return_code><![CDATA[{code}]]></return_code><return_msg><![CDATA[{word}]]></return_msg></xml>"
    return text.encode()
