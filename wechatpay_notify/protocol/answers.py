"""Answers: the texts by which WeChat knows that a notification was received, or that it must be sent again.

Never says more than the outcome's word; what a question is answered is the host's to say.
"""

import json
from collections.abc import Mapping

from .flatxml import write_xml
from .types import Merchant, Notification, Version
from .v2 import holds_event, signature, verify

CONTENT_TYPES: dict[Version, str] = {"v2": "text/xml", "v3": "application/json"}


def plain(version: Version, word: str) -> str:
    """The answer of every notification; `word` "" is success (protocol, 1.9 and 2.8)."""
    if version == "v2":
        return write_xml(_returned(word))
    return json.dumps({"code": "FAIL", "message": word} if word else {"code": "SUCCESS"})


def event(word: str) -> str:
    """The answer of a v2 notice with event_ciphertext: of its two documented forms both (protocol, 1.7)."""
    returned = _returned(word)
    return write_xml({"code": returned["return_code"], "message": returned["return_msg"]} | returned)


def fixed(version: Version, word: str, body: bytes, *, proven: bool) -> str:
    """The answer to this request where the host has no say in it; by it the admin shows what WeChat was told."""
    return event(word) if version == "v2" and proven and holds_event(body) else plain(version, word)


def scan(question: Notification, fields: Mapping[str, str], merchant: Merchant, *, nonce: str) -> str:
    """The answer of a scanned product code (protocol, 1.5), signed by the key and algorithm that signed the question.

    `fields` has the `prepay_id`, or an `err_code_des` for the user to read. Raises TypeError or ValueError for others.
    """
    if not (fields.get("prepay_id") or fields.get("err_code_des")):
        raise ValueError("the answer to a scanned code has a prepay_id, or an err_code_des")
    answer = dict(fields) | {
        "return_code": "SUCCESS",
        "result_code": "FAIL" if fields.get("err_code_des") else "SUCCESS",
        "appid": question.resource["appid"],
        "mch_id": question.resource["mch_id"],
        "nonce_str": nonce,
    }
    write_xml(answer)  # what cannot be written has to raise here: an error report of signature() would show the key
    proof = verify(question.resource, merchant)
    return write_xml(answer | {"sign": signature(answer, proof.key, proof.algorithm)})


def _returned(word: str) -> dict[str, str]:
    return {"return_code": "FAIL", "return_msg": word} if word else {"return_code": "SUCCESS", "return_msg": "OK"}
