"""A crowd of rows: what a shop has after 90 days, in bulk, as copies of what real callbacks left.

Never the app's own code but for the patterns; the databases make the rows themselves, set by set.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rounds import Progress

BATCH = 20_000
DAYS = 90
AMOUNT = 1234
NUMBER, SHORT, OLD, BACK = "PATTERN-3", "PATTERN-SHORT", "PATTERN-2", "PATTERN-BACK"
TRANSACTION = "4200000000202611220000000001"
SERIES = {
    "postgresql": "generate_series({first}::bigint, {last}) s(n)",
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM s WHERE n < {last}) "
    "SELECT n FROM s) s",
}
NOW = {
    "postgresql": "(now() - ({days})::float8 * interval '1 day')",
    "sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || ({days}) || ' days')",
}
UUID = {"postgresql": "md5('u' || n)::uuid", "sqlite": "md5('u' || n)"}


@dataclass(frozen=True, slots=True)
class Story:
    """What became of so many of 10,000 notifications: of the first of each order, or of those that follow."""

    outcome: str
    share: int
    first: bool = False
    pattern: str = NUMBER
    status: str = "200"
    verified: bool = True


STORIES = (
    Story("confirmed", 9_300, first=True),
    Story("confirmed", 500, first=True, pattern=OLD),
    Story("receiver_failed", 120, first=True, status="503"),
    Story("unexpected", 50, first=True),
    Story("busy", 28, first=True, status="503"),
    Story("", 2, first=True, status="NULL"),
    Story("duplicate", 8_150),
    Story("duplicate", 500, pattern=OLD),
    Story("refunded", 600, pattern=BACK),
    Story("received", 200),
    Story("unknown_order", 150, status="409"),
    Story("amount_mismatch", 120, status="409"),
    Story("payment_failed", 100),
    Story("conflict", 30, status="409"),
    Story("no_receiver", 30, status="503"),
    Story("wrong_merchant", 20, status="403"),
    Story("undecryptable", 20, status="503"),
    Story("misconfigured", 10, status="503"),
    Story("unavailable", 10, status="503"),
    Story("error", 5, status="500"),
    *(
        Story(outcome, share, status="401", verified=False)
        for outcome, share in (("signature_invalid", 20), ("probe", 10), ("stale", 8), ("unknown_serial", 8))
    ),
    *(
        Story(outcome, share, status=status, verified=False)
        for outcome, share, status in (
            ("unsigned", 4, "401"), ("algorithm_refused", 2, "401"), ("malformed", 2, "400"), ("too_large", 1, "413"),
        )
    ),
)  # fmt: skip
RECEIVERS = ("shop.receivers.fulfil", "shop.receivers.invoice")


def patterns() -> None:
    """What real callbacks leave, one of each kind."""
    from django.test import Client, override_settings
    from shop.platform import PLATFORM
    from shop.settings import WECHATPAY_NOTIFY

    from wechatpay_notify.models import Order

    for number in (NUMBER, SHORT, OLD, BACK):
        Order.objects.expect(out_trade_no=number, amount=AMOUNT, reference="CART", description="Two cups of tea")
        Order.objects.filter(out_trade_no=number).update(reference="")  # each is paid, and confirmed, for itself
    refunded = {"transaction_id": TRANSACTION[::-1], "out_refund_no": "PATTERN-R"}
    with override_settings(WECHATPAY_NOTIFY=WECHATPAY_NOTIFY | {"DELIVERY": "deferred"}):
        for told in (
            PLATFORM.payment_v3(NUMBER, AMOUNT, transaction_id=TRANSACTION),
            PLATFORM.payment_v3(SHORT, 1),
            PLATFORM.payment_v2(OLD, AMOUNT),
            PLATFORM.payment_v3(BACK, AMOUNT, transaction_id=refunded["transaction_id"]),
            PLATFORM.refund_v3(BACK, 100, total=AMOUNT, **refunded),
        ):
            told.post(Client(), "/wechatpay/notify/")


def fill(logs: int, orders: int) -> None:
    """So many rows of each; refunds are 5 %, discrepancies 2 % of the orders, receivers one or two a paid order."""
    from django.db import connection

    from wechatpay_notify.models import Discrepancy, NotificationLog, Order, Refund, SignalDelivery

    patterns()
    crowd = Crowd(connection.vendor, logs, orders)
    last = {model: model._default_manager.latest("pk").pk for model in (Order, NotificationLog)}
    with without_indexes((Order, NotificationLog, SignalDelivery, Discrepancy, Refund)):
        crowd.copy(Order, crowd.order(last[Order]), orders, f"out_trade_no = '{NUMBER}'")
        crowd.copy(NotificationLog, crowd.log(), logs, crowd.story())
        paid = Order.objects.order_by("pk").filter(out_trade_no=NUMBER).first()
        confirmed = f"signal = 'payment_confirmed' AND order_id = {paid.pk}"
        crowd.copy(SignalDelivery, crowd.delivery(last), orders * 4 // 3, confirmed)
        crowd.copy(Refund, crowd.refund(last[Order]), orders // 20, "out_refund_no = 'PATTERN-R'")
        crowd.copy(Discrepancy, crowd.discrepancy(last[Order]), orders // 50, f"out_trade_no = '{SHORT}'")
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("RESET ALL")
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


@dataclass(frozen=True, slots=True)
class Crowd:
    """The columns that differ from row to row, as SQL over `n`, which counts from 1."""

    vendor: str
    logs: int
    orders: int

    def paid(self, n: str) -> str:
        """The order that this many-th of something belongs to: a paid one (88 of 100 are)."""
        return f"(({n}) - ({n}) % 100 + ({n}) % 100 % 88)"

    def ago(self, n: str, of: int) -> str:
        """The moment of the n-th: evenly over the days, the last one now."""
        return NOW[self.vendor].format(days=f"{DAYS}.0 * ({of} - ({n})) / {of}")

    def number(self, n: str) -> str:
        return f"('D' || (100000000000000 + {n}))"

    def transaction(self, n: str) -> str:
        return f"('42000' || (10000 + ({n}) * 7919 % 89999) || (100000000000000000 + {n}))"

    def order(self, _: int) -> dict[str, str]:
        paid, moment, customers = "n % 100 < 88", self.ago("n", self.orders), max(1, self.orders // 4)
        return {
            "public_id": UUID[self.vendor],
            "out_trade_no": self.number("n"),
            "reference": "'CART-' || (n / 2)",
            "settled_reference": f"CASE WHEN {paid} AND n % 2 = 0 THEN '1900000109//CART-' || (n / 2) END",
            "combine_out_trade_no": "CASE WHEN n % 100 < 3 THEN 'C' || (n / 100) ELSE '' END",
            "transaction_id": f"CASE WHEN {paid} THEN {self.transaction('n')} END",
            "status": f"CASE WHEN {paid} THEN 'paid' WHEN n % 100 < 98 THEN 'pending' ELSE 'closed' END",
            "confirmed_by": f"CASE WHEN NOT ({paid}) THEN '' WHEN n % 5000 = 7 THEN 'bill' "
            "WHEN n % 300 = 8 THEN 'query' ELSE 'notification' END",
            "paid_at": f"CASE WHEN {paid} THEN {moment} END",
            "closed_at": f"CASE WHEN n % 100 >= 98 THEN {moment} END",
            "refunded_amount": "CASE WHEN n % 20 = 1 THEN 100 ELSE 0 END",
            "openid": f"CASE WHEN {paid} THEN 'o' || substr(md5('c' || (n % {customers})), 1, 27) ELSE '' END",
            "created_at": moment,
            "updated_at": moment,
        }

    def log(self) -> dict[str, str]:
        own = self.paid(f"((n - 1) * {self.orders} / {self.logs} + 1)")
        number, transaction = self.number(own), self.transaction(own)
        resource = f"replace(replace(p.resource, p.out_trade_no, {number}), p.transaction_id, {transaction})"
        return {
            "received_at": self.ago("n", self.logs),
            "out_trade_no": number,
            "transaction_id": transaction,
            "notification_id": f"CASE WHEN p.notification_id = '' THEN '' ELSE md5('e' || {own}) END",
            "out_refund_no": f"CASE WHEN p.out_refund_no = '' THEN '' ELSE 'R' || {own} END",
            "resource": f"CASE WHEN t.verified = 1 THEN {resource} ELSE '' END",
            "verified": {"postgresql": "(t.verified = 1)", "sqlite": "t.verified"}[self.vendor],
            "outcome": "t.outcome",
            "http_status": "t.status",
            "duration_ms": "CASE WHEN t.status IS NULL THEN NULL ELSE 8 + n % 90 END",
            "attempt_estimate": "CASE WHEN t.verified = 1 THEN 1 + n % 3 END",
        }

    def story(self) -> str:
        """The pattern of each notification, and what became of it, drawn by its number."""
        order, before = (f"(n - {back}) * {self.orders} / {self.logs}" for back in (1, 2))
        first = f"(CASE WHEN {order} > {before} THEN 1 ELSE 0 END)"
        told, drawn = [], {True: 0, False: 0}
        for story in STORIES:
            low = drawn[story.first]
            drawn[story.first] = low + story.share
            told.append(
                f"SELECT {int(story.first)} AS first, {low} AS low, {low + story.share} AS high, "
                f"'{story.outcome}' AS outcome, CAST({story.status} AS integer) AS status, "
                f"{int(story.verified)} AS verified, '{story.pattern}' AS pattern"
            )
        assert set(drawn.values()) == {10_000}, drawn
        refund = "(p.out_refund_no <> '') = (t.pattern = 'PATTERN-BACK')"
        return (
            f"out_trade_no = t.pattern AND {refund} JOIN ({' UNION ALL '.join(told)}) t "
            f"ON t.first = {first} AND n * 7919 % 10000 >= t.low AND n * 7919 % 10000 < t.high"
        )

    def delivery(self, last: Mapping[Any, int]) -> dict[str, str]:
        from wechatpay_notify.models import NotificationLog, Order

        pattern = NotificationLog.objects.order_by("pk").filter(out_trade_no=NUMBER).first()
        n = f"(CASE WHEN n > {self.orders} THEN (n - {self.orders}) * 3 ELSE n END)"
        gave_up, pending = "n % 4000 = 5", f"(n % 3000 = 6 OR n BETWEEN {self.orders - 20} AND {self.orders})"
        moment, order = self.ago(n, self.orders), f"({last[Order]} + {self.paid(n)})"
        told = f"({last[NotificationLog]} + {n} * {self.logs} / {self.orders})"
        return {
            "subject": f"'order:' || {order} || CASE WHEN {n} % 100 < 88 THEN '' ELSE ':' || n END",
            "receiver": f"CASE WHEN n > {self.orders} THEN '{RECEIVERS[1]}' ELSE '{RECEIVERS[0]}' END",
            "order_id": order,
            "payload": f"replace(p.payload, '\"notification\":{pattern.pk}', '\"notification\":' || {told})",
            "status": f"CASE WHEN {gave_up} THEN 'gave_up' WHEN {pending} THEN 'pending' ELSE 'done' END",
            "attempts": f"CASE WHEN {gave_up} THEN 20 WHEN {pending} THEN 3 ELSE 1 END",
            "last_error": f"CASE WHEN {gave_up} OR {pending} THEN 'Traceback (most recent call last): ...' ELSE '' END",
            "next_attempt_at": moment,
            "done_at": f"CASE WHEN {gave_up} OR {pending} THEN NULL ELSE {moment} END",
            "created_at": moment,
            "duration_ms": "2 + n % 40",
        }

    def refund(self, order: int) -> dict[str, str]:
        own = self.paid("(n * 20 - 19)")
        return {
            "out_refund_no": f"'R' || {own}",
            "refund_id": "'50000' || (10000000000000 + n)",
            "order_id": f"{order} + {own}",
            "transaction_id": self.transaction(own),
            "status": "CASE WHEN n % 200 = 0 THEN 'ABNORMAL' WHEN n % 66 = 0 THEN 'CLOSED' WHEN n % 25 = 0 "
            "THEN 'PROCESSING' ELSE 'SUCCESS' END",
            "created_at": self.ago("n * 20", self.orders),
            "updated_at": self.ago("n * 20", self.orders),
        }

    def discrepancy(self, order: int) -> dict[str, str]:
        own, seen = self.paid("(n * 50)"), self.ago("n * 50", self.orders)
        return {
            "out_trade_no": self.number(own),
            "transaction_id": self.transaction(own) + " || 'X'",
            "order_id": f"CASE WHEN n % 10 < 5 THEN {order} + {own} END",
            "reason": "CASE WHEN n % 10 < 5 THEN 'amount_mismatch' WHEN n % 10 < 8 THEN 'unknown_order' "
            "WHEN n % 10 = 8 THEN 'already_paid' WHEN n % 50 = 49 THEN 'conflict' ELSE 'order_closed' END",
            "resolved_at": f"CASE WHEN n % 12 > 0 THEN {seen} END",
            "first_seen": seen,
            "last_seen": seen,
        }

    def copy(self, model: Any, changed: Mapping[str, str], rows: int, pattern: str) -> None:
        """Copies of the pattern with these columns changed; no column of the model is left out."""
        from django.db import connection

        table = model._meta.db_table
        columns = [field.column for field in model._meta.concrete_fields if not field.primary_key]
        values = ", ".join(changed.get(column, f'p."{column}"') for column in columns)
        listed = ", ".join(f'"{column}"' for column in columns)
        condition, joined, rest = pattern.partition(" JOIN ")
        # The pattern of a notification is that of its story, which is joined first.
        source = f"{joined}{rest} JOIN pattern p ON p.{condition}"
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS pattern")
            cursor.execute(f"CREATE TEMPORARY TABLE pattern AS SELECT * FROM {table}")
        progress = Progress(model._meta.model_name, -(-rows // BATCH))
        for first in range(1, rows + 1, BATCH):
            series = SERIES[self.vendor].format(first=first, last=min(first + BATCH - 1, rows))
            with connection.cursor() as cursor:
                cursor.execute(f"INSERT INTO {table} ({listed}) SELECT {values} FROM {series}{source} ORDER BY n")
            progress.step()


@contextmanager
def without_indexes(models: Any) -> Iterator[None]:
    """Bulk rows first, their indexes after; on PostgreSQL without a write-ahead log, which reading does not notice."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for model in reversed(models):
                cursor.execute(f"ALTER TABLE {model._meta.db_table} SET UNLOGGED")
            cursor.execute("SET work_mem = '64MB'")
            cursor.execute("SET maintenance_work_mem = '256MB'")
        else:
            cursor.execute("PRAGMA journal_mode = OFF")
            cursor.execute("PRAGMA synchronous = OFF")
    indexes = [(model, index) for model in models for index in model._meta.indexes]
    with connection.schema_editor() as editor:
        for model, index in indexes:
            editor.remove_index(model, index)
    yield
    progress = Progress("indexes", len(indexes))
    for model, index in indexes:
        with connection.schema_editor() as editor:
            editor.add_index(model, index)
        progress.step()
