"""Processing: one notification, or one query answer, as a straight line from bytes to a recorded, told fact.

First the fact, then the telling: what happened is committed before any receiver runs.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import router
from django.db.utils import Error as DatabaseFailure
from django.utils import timezone

from . import questions, refusals, sources
from .conf import MerchantConfig, conf
from .contention import is_writer_busy
from .judgement import HostError
from .log import logger, report, warn
from .models import NotificationLog
from .outcomes import OUTCOMES, Outcome
from .protocol import answers, moments, results, v2, v3
from .protocol.errors import Malformed, NotificationError, TooLarge
from .protocol.results import storable
from .protocol.types import Merchant, Notification, PaymentResult, RefundResult, Result, Version
from .settlement import ANSWER, Settlement, answer
from .signals import notification_rejected

PROTOCOLS = {"v2": v2, "v3": v3}
KEPT_HEADERS = ("content-type", "user-agent", "request-id", *(f"wechatpay-{name}" for name in (
    "timestamp", "nonce", "signature", "serial", "signature-type",
)))  # fmt: skip
ALERTED = refusals.CODES - {"probe"} | {"wrong_merchant"}
"""Outcomes told to notification_rejected. Probes are expected; money that was refused has payment_unexpected."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What WeChat is answered: the outcome decides the status, `content` is the body in the form of its version."""

    outcome: Outcome
    content: str


@dataclass(frozen=True, slots=True)
class Proven:
    """A notification that is WeChat's, and what it says of payments or of a refund."""

    merchant: Merchant
    notification: Notification
    found: tuple[Result, ...]


def receive(
    version: Version,
    headers: Mapping[str, str],
    body: bytes | None,
    config: MerchantConfig,
    *,
    remote_addr: str | None = None,
) -> Reply:
    """Take one request of WeChat's from its bytes (None: too many) to the answer.

    `remote_addr` comes from `sources.client_address`. Raises nothing.
    """
    started = time.monotonic()
    row = _row(version, headers, body or b"", config.merchant.alias, remote_addr)
    answered = ""

    def settle(proven: Proven) -> str:
        nonlocal answered
        answered = questions.ask(proven.notification, proven.merchant)
        return Settlement(proven.merchant, proven.notification, row, started).run(proven.found)

    code = take(row, headers, body, config, now=time.time(), started=started, settle=settle)
    outcome = OUTCOMES[code]
    report(row, outcome)
    if code in ALERTED and row.pk is not None:
        notification_rejected.send_robust(sender=NotificationLog, notification=row, outcome=code)
    if answered and not outcome.word:
        return Reply(outcome, answered)
    return Reply(outcome, answers.fixed(version, outcome.word, bytes(row.body), proven=row.verified))


def take(
    row: NotificationLog,
    headers: Mapping[str, str],
    body: bytes | None,
    config: MerchantConfig,
    *,
    now: float,
    started: float,
    settle: Callable[[Proven], str],
) -> str:
    """Prove these bytes as of `now` (Unix seconds) and have what they say settled; the outcome's code.

    `row` is filled in, and stored by `settle` or with what went wrong here. Raises nothing.
    """
    refused: NotificationError | None = None
    code = ""
    try:
        code = settle(_prove(row, headers, body, config, now))
    except NotificationError as error:
        # Without its frames, and outside of this clause: error reports show the locals of both, keys among them.
        refused = error.with_traceback(None)
        refused.__cause__ = refused.__context__ = None
    except questions.Unanswered as error:
        row.detail = storable("; ".join(filter(None, (row.detail, error.detail))))[:500]
        code = _store(row, error.code, started)
    except (HostError, DatabaseFailure) as error:
        code = _fail(row, "unavailable", error, started)
    except Exception as error:
        code = _fail(row, "error", error, started)
    if refused is not None:
        code = _refuse(row, refused, started)
    return code


def looks_like(body: bytes) -> Version:
    """The API version whose form this body has, by its first byte that is no white space."""
    return "v2" if body.lstrip()[:1] == b"<" else "v3"


def confirm_payment(result: PaymentResult, *, confirmed_by: str = "query") -> str:
    """Take a verified query answer (or a line of a bill) down the same line as a notification.

    `result` comes from `protocol.results.payment_from_v3` or `payment_from_v2`; the caller has verified it.
    Returns the outcome's code. Call it outside of a transaction: inside of one Django raises RuntimeError.
    """
    return _take(result, confirmed_by)


def confirm_refund(result: RefundResult) -> str:
    """Take a verified answer to a refund query down the same line as a notification.

    `result` comes from `protocol.results.refund_from_v3`; the caller has verified it. So a v2 notice, which is only a
    hint, is confirmed. Returns the outcome's code. Call it outside of a transaction, as `confirm_payment`.
    """
    return _take(result, "query")


def _take(result: Result, confirmed_by: str) -> str:
    merchant = conf.merchant_by_number(result.mchid) or Merchant(mchid=result.mchid)
    try:
        return Settlement(merchant, None, None, time.monotonic(), confirmed_by).run((result,))
    except (HostError, DatabaseFailure) as error:
        warn("a query answer could not be recorded", error)
        return "unavailable"


def _prove(
    row: NotificationLog, headers: Mapping[str, str], body: bytes | None, config: MerchantConfig, now: float
) -> Proven:
    """Check and read the bytes; the row says what they are. Raises NotificationError."""
    version: Version = "v2" if row.api_version == "v2" else "v3"
    if body is None:
        raise TooLarge("the body was not read to its end")
    if looks_like(body) != version and body:
        raise Malformed(f"this is an API {looks_like(body)} body: its URL is notify/ or {looks_like(body)}/")
    merchant = config.usable(version)
    notification = PROTOCOLS[version].parse_notification(headers, body, merchant, now=now)
    row.verified = True
    _describe(row, notification)
    found = results.read(notification)
    _number(row, notification, found)
    _mark_source(row)
    return Proven(merchant, notification, found)


def _row(
    version: Version, headers: Mapping[str, str], body: bytes, alias: str, remote_addr: str | None
) -> NotificationLog:
    kept = {
        name: storable(value)[: v3.MAX_KEPT_HEADER] for name, value in headers.items() if name.lower() in KEPT_HEADERS
    }
    return NotificationLog(
        received_at=timezone.now(),
        api_version=version,
        merchant=alias,
        remote_addr=remote_addr,
        headers=kept,
        body=body,
    )


def _describe(row: NotificationLog, notification: Notification) -> None:
    row.resource = dict(notification.resource)
    row.notification_id = storable(notification.notification_id)[:64]
    row.event_type = storable(notification.event_type)[:64]


def _number(row: NotificationLog, notification: Notification, found: tuple[Result, ...]) -> None:
    """The numbers the row is found by, and which of WeChat's attempts this was."""
    first_sent = notification.created_at
    if found:
        first = found[0]
        row.out_trade_no, row.transaction_id = first.out_trade_no, first.transaction_id
        if isinstance(first, RefundResult):
            row.out_refund_no = first.out_refund_no
        else:
            row.out_trade_no = first.combine_out_trade_no or first.out_trade_no
        first_sent = first_sent or first.success_time
    else:
        for name, limit in (("out_trade_no", 32), ("transaction_id", 32), ("out_refund_no", 64)):
            value = notification.resource.get(name)
            setattr(row, name, storable(value)[:limit] if isinstance(value, str) else "")
    if notification.kind != "event" and first_sent is not None and row.replay_of is None:
        row.attempt_estimate = moments.attempt(first_sent, row.received_at.timestamp())


def _mark_source(row: NotificationLog) -> None:
    """Compare where a proven notification came from; loud, since the policy may be "reject" one day."""
    row.detail = sources.remark(row.remote_addr)
    if row.detail:
        logger.warning("%s merchant=%a out_trade_no=%a", row.detail, row.merchant, row.out_trade_no)


def _refuse(row: NotificationLog, error: NotificationError, started: float) -> str:
    """Store a refused request, an unproven one within its budget."""
    row.detail, row.verified = storable(error.detail)[:500], error.proven
    if _is_known(row):
        return error.code
    if not error.proven:
        counted = refusals.count()
        if counted > conf.REJECTED_LOG_PER_MINUTE:
            return error.code
        if counted == 1:
            refusals.prune(router.db_for_write(NotificationLog))
        refusals.prepare(row)
    elif row.resource is None:
        refusals.number(row)  # not decrypted; by its id it is known again when WeChat's next attempt is taken
    return _store(row, error.code, started)


def _is_known(row: NotificationLog) -> bool:
    """Whether a row of these bytes is there already, and nothing was proven that it does not say."""
    return row.replay_of is not None and not row.verified


def _store(row: NotificationLog, code: str, started: float) -> str:
    """Store what is answered with a failure in any case."""
    answer(row, code, started)
    try:
        row.save(using=router.db_for_write(NotificationLog), force_insert=True)
    except DatabaseFailure as error:
        warn("a refused request could not be stored", error)
        row.pk = None
    return code


def _fail(row: NotificationLog, code: str, error: Exception, started: float) -> str:
    """Something of ours or the host's broke: keep the row if the database lets us; WeChat sends again."""
    if not isinstance(error, DatabaseFailure):  # whose words quote rows; its first line is in the report
        logger.log(OUTCOMES[code].level, "a notification could not be processed", exc_info=error)
    # The first line alone: PostgreSQL's next ones quote the row, openid included.
    said = str(error.__cause__ or error).partition("\n")[0]
    row.detail = storable(f"{type(error.__cause__ or error).__name__}: {said}")[:500]
    if _is_known(row) or (row.pk is None and is_writer_busy(error)):
        return code  # waiting a second time would outlast WeChat's five seconds
    try:
        answer(row, code, started)
        row.save(using=router.db_for_write(NotificationLog), update_fields=None if row.pk is None else ANSWER)
    except Exception as error_again:
        warn("the failed notification could not be stored either", error_again)
    return code
