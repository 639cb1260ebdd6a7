"""Questions: callbacks of which WeChat reads the answer's body; the host's ANSWERS say what it is told.

Never answers for the host: a question that nobody answers, or another merchant's, is refused.
"""

import copy
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from django.utils.crypto import get_random_string

from .conf import conf
from .judgement import HostError, not_ours
from .protocol import answers, v2
from .protocol.types import Merchant, Notification, Version

QUESTIONS: dict[str, Version] = {
    "ENTRUST.TERMINATE_INQUIRY": "v3",
    "ENTRUST.TERMINATE_RETENTION": "v3",
    "PARKING_FEE.QUERY_TRANS_INFO": "v3",
    "CROSS_BORDER_PAY.GET_MCH_INFO": "v3",
    v2.SCAN: "v2",
}
"""Event types that are questions (protocol, 1.5 and 2.8), and the API version that asks."""


class Unanswered(Exception):
    """The question is proven and cannot be answered; `code` is the outcome."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


def ask(notification: Notification, merchant: Merchant) -> str:
    """The text to answer with, fresh from the host at each delivery; "" for a notification that is no question.

    Raises Unanswered, or HostError when the host's callable raised or answered what cannot be sent.
    """
    event_type = notification.event_type
    if QUESTIONS.get(event_type) != notification.version:
        return ""
    stranger = _stranger(notification.resource, merchant)
    if stranger:
        raise Unanswered("wrong_merchant", stranger)
    try:
        answer_for = conf.answers.get(event_type)
        # A copy: what the callable does to it must not change what is stored, told and signed.
        asked = dataclasses.replace(notification, resource=copy.deepcopy(dict(notification.resource)))
        text = _written(notification, answer_for(asked), merchant) if answer_for else ""
    except Exception as error:
        raise HostError(f'ANSWERS["{event_type}"] raised, or its answer cannot be sent') from error
    if not text:
        raise Unanswered("no_receiver", f'a question: nothing in ANSWERS answers "{event_type}"')
    return text


def _stranger(resource: Mapping[str, Any], merchant: Merchant) -> str:
    """Why this question is not the merchant's, "" if it is; some name nobody."""
    return not_ours(
        merchant,
        mchid=_named(resource, "sp_mchid", "mchid", "mch_id"),
        appid=_named(resource, "sp_appid", "appid"),
        sub_mchid=_named(resource, "sub_mchid", "sub_mch_id"),
    )


def _named(resource: Mapping[str, Any], *names: str) -> str | None:
    return next((str(resource[name]) for name in names if resource.get(name) is not None), None)


def _written(question: Notification, answer: object, merchant: Merchant) -> str:
    if not isinstance(answer, Mapping):
        raise TypeError(f"an answer must be a mapping, not {type(answer).__name__}")
    if question.version == "v2":
        return answers.scan(question, answer, merchant, nonce=get_random_string(32))
    return json.dumps(dict(answer), allow_nan=False)
