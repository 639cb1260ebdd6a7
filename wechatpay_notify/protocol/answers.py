"""Answers: the texts by which WeChat knows that a notification was received, or that it must be sent again.

Never says more than the outcome's word.
"""

import json

from .flatxml import write_xml
from .types import Version

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


def _returned(word: str) -> dict[str, str]:
    return {"return_code": "FAIL", "return_msg": word} if word else {"return_code": "SUCCESS", "return_msg": "OK"}
