"""The outcomes: for each, what WeChat is answered, how loud the log is, and what the shop should do.

Never says more to the outside than the group (`word`): an answer must be no oracle.
"""

import logging
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from .protocol import errors
from .protocol.types import Version

_KEPT_IN_V2 = (404, 405, 413, 500)
"""HTTP statuses that a v2 answer keeps; every other outcome of v2 is HTTP 200 with return_code FAIL or SUCCESS."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of the outcome table. `status` is the HTTP status in v3; `word` is "" when WeChat may stop sending."""

    code: str
    status: int
    word: str
    level: int
    hint: str | Promise
    keeps_status: bool = False
    """Whether v2 answers with `status` too."""

    @property
    def acknowledged(self) -> bool:
        return not self.word

    def http_status(self, version: Version) -> int:
        return self.status if version == "v3" or self.keeps_status or self.status in _KEPT_IN_V2 else 200


def _refusal(error: type[errors.NotificationError], status: int, word: str, level: int = logging.INFO) -> Outcome:
    return Outcome(error.code, status, word, level, _(error.hint), keeps_status=error is errors.Misconfigured)


_ROWS = (
    Outcome(
        "confirmed",
        200,
        "",
        logging.INFO,
        _("The order is paid. Every receiver has run, or is left to the worker: see the deliveries."),
    ),
    Outcome("duplicate", 200, "", logging.INFO, _("WeChat sent again what was already recorded. Nothing to do.")),
    Outcome(
        "refunded",
        200,
        "",
        logging.INFO,
        _(
            "What became of the refund is recorded. Every receiver has run, or is left to the worker. "
            "If it is abnormal, somebody must act."
        ),
    ),
    Outcome(
        "received", 200, "", logging.INFO, _("Genuine, nothing to confirm. Stored and told to notification_received.")
    ),
    Outcome("payment_failed", 200, "", logging.INFO, _("WeChat says this payment failed. The order stays pending.")),
    Outcome(
        "unexpected",
        200,
        "",
        logging.ERROR,
        _(
            "The customer's money arrived for an order that must not be fulfilled: it was closed, already paid or "
            "refunded. See the discrepancy; what was not refunded yet, usually refund it on the merchant platform."
        ),
    ),
    Outcome(
        "receiver_failed",
        503,
        "retry",
        logging.ERROR,
        _(
            "What happened is recorded, but a receiver raised or there was no time left to start one. See the error at "
            "the delivery and mend the receiver; WeChat sends again for 24 hours and only what failed runs again."
        ),
    ),
    Outcome(
        "no_receiver",
        503,
        "retry",
        logging.ERROR,
        _(
            "It is stored, but nobody is there to take it. A payment: connect a receiver to payment_confirmed and "
            "import its module in your AppConfig.ready(). A question (see the detail): name a callable for its event "
            'type in WECHATPAY_NOTIFY["ANSWERS"]. WeChat sends again.'
        ),
    ),
    Outcome(
        "busy",
        503,
        "retry",
        logging.INFO,
        _(
            "A receiver is running right now in another request, or a refund waits for its payment to be reported. "
            "WeChat sends again. Nothing to do."
        ),
    ),
    Outcome(
        "unknown_order",
        409,
        "rejected",
        logging.WARNING,
        _(
            "WeChat reports a payment for an order number this shop has not recorded. Create the order with "
            "Order.objects.expect() before the customer pays, or set ORDER_RESOLVER. If you create it now, the next "
            "attempt within 24 hours confirms it."
        ),
    ),
    Outcome(
        "amount_mismatch",
        409,
        "rejected",
        logging.ERROR,
        _(
            "The amount or currency paid is not what the order says. Compare both in the minor unit (fen). If the "
            "record is wrong, mend it and the next attempt confirms; if not, refund the payment."
        ),
    ),
    Outcome(
        "conflict",
        409,
        "rejected",
        logging.ERROR,
        _(
            "This WeChat transaction already belongs to another order, or a refund contradicts the record: see the "
            "discrepancy. Find out on the merchant platform which of the two is right before you ship or refund."
        ),
    ),
    Outcome(
        "wrong_merchant",
        403,
        "rejected",
        logging.WARNING,
        _(
            "The payment or refund is genuine but another merchant's: mchid, appid or sub_mchid is not the one "
            "configured for this URL or recorded with the order. Check MCHID, APPIDS, SUB_MCHIDS and the notify_url "
            "you order or refund with."
        ),
    ),
    _refusal(errors.SourceRefused, 403, "rejected", logging.WARNING),
    _refusal(errors.Malformed, 400, "malformed"),
    _refusal(errors.Undecryptable, 503, "retry", logging.ERROR),
    _refusal(errors.SignatureInvalid, 401, "unauthorized"),
    _refusal(errors.Probe, 401, "unauthorized"),
    _refusal(errors.Stale, 401, "unauthorized"),
    _refusal(errors.UnknownSerial, 401, "unauthorized", logging.WARNING),
    _refusal(errors.AlgorithmRefused, 401, "unauthorized"),
    _refusal(errors.Unsigned, 401, "unauthorized"),
    _refusal(errors.TooLarge, 413, "rejected"),
    Outcome(
        "unavailable",
        503,
        "retry",
        logging.WARNING,
        _(
            "The database, or a callable of yours (ORDER_RESOLVER, ANSWERS, the merchant provider) failed: see the "
            "detail and the log. Nothing was confirmed; WeChat sends again."
        ),
        keeps_status=True,
    ),
    _refusal(errors.Misconfigured, 503, "retry", logging.ERROR),
    Outcome(
        "error",
        500,
        "retry",
        logging.ERROR,
        _("A bug of wechatpay_notify. The log has the traceback: please report it. WeChat sends again."),
    ),
)
_LABELS = {
    "confirmed": pgettext_lazy("outcome", "confirmed"),
    "duplicate": pgettext_lazy("outcome", "duplicate"),
    "refunded": pgettext_lazy("outcome", "refunded"),
    "received": pgettext_lazy("outcome", "received"),
    "payment_failed": pgettext_lazy("outcome", "payment_failed"),
    "unexpected": pgettext_lazy("outcome", "unexpected"),
    "receiver_failed": pgettext_lazy("outcome", "receiver_failed"),
    "no_receiver": pgettext_lazy("outcome", "no_receiver"),
    "busy": pgettext_lazy("outcome", "busy"),
    "unknown_order": pgettext_lazy("outcome", "unknown_order"),
    "amount_mismatch": pgettext_lazy("outcome", "amount_mismatch"),
    "conflict": pgettext_lazy("outcome", "conflict"),
    "wrong_merchant": pgettext_lazy("outcome", "wrong_merchant"),
    "source_refused": pgettext_lazy("outcome", "source_refused"),
    "malformed": pgettext_lazy("outcome", "malformed"),
    "undecryptable": pgettext_lazy("outcome", "undecryptable"),
    "signature_invalid": pgettext_lazy("outcome", "signature_invalid"),
    "probe": pgettext_lazy("outcome", "probe"),
    "stale": pgettext_lazy("outcome", "stale"),
    "unknown_serial": pgettext_lazy("outcome", "unknown_serial"),
    "algorithm_refused": pgettext_lazy("outcome", "algorithm_refused"),
    "unsigned": pgettext_lazy("outcome", "unsigned"),
    "too_large": pgettext_lazy("outcome", "too_large"),
    "unavailable": pgettext_lazy("outcome", "unavailable"),
    "misconfigured": pgettext_lazy("outcome", "misconfigured"),
    "error": pgettext_lazy("outcome", "error"),
    "unanswered": pgettext_lazy("outcome", "unanswered"),  # none of the table: what has no outcome yet is counted so
}
OUTCOMES: dict[str, Outcome] = {row.code: row for row in _ROWS}

_WORST_FIRST = (
    "error",
    "unavailable",
    "wrong_merchant",
    "conflict",
    "amount_mismatch",
    "unknown_order",
    "receiver_failed",
    "no_receiver",
    "busy",
    "unexpected",
    "confirmed",
    "refunded",
    "duplicate",
    "payment_failed",
    "received",
)


def worst(codes: list[str]) -> str:
    """The outcome of a notification with several results."""
    return min(codes, key=_WORST_FIRST.index)


def is_acknowledged(code: str) -> bool:
    """Whether WeChat was answered that it may stop; not of a code that nobody knows, or of none."""
    outcome = OUTCOMES.get(code)
    return outcome is not None and outcome.acknowledged


def label(code: str) -> str:
    """An outcome as people read it, in the active language; in English, or when nobody knows it, the code itself."""
    return str(_LABELS.get(code, code))
