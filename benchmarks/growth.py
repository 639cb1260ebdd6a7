"""Growth: bytes a row with its indexes, levels of the indexes, rows inserted a second, and what pruning them takes.

Never measures the app's own code but for `wechatpay_prune`: the rows are copies of one real payment's, written in bulk.
Makes a database of its own on PostgreSQL and drops it.
"""

import argparse
import os
import tempfile
import time
from typing import Any

from rounds import table

TABLES = ("order", "notificationlog", "signaldelivery")
COPY = (
    "INSERT INTO {table} ({columns}) SELECT {values} FROM (SELECT * FROM {table} ORDER BY id LIMIT 1) pattern, "
    "generate_series({first}, {last}) n"
)
SIZES = (
    "SELECT pg_table_size(%(table)s), pg_indexes_size(%(table)s), "
    "max((bt_metap(indexrelid::regclass::text)).level) + 1 FROM pg_index WHERE indrelid = %(table)s::regclass"
)
CHANGED = {
    "public_id": "gen_random_uuid()",
    "out_trade_no": "'D' || lpad(n::text, 15, '0')",
    "transaction_id": "'4200' || md5(n::text)::varchar(24)",
    "notification_id": "md5(n::text || 'id')::uuid::text",
    "subject": "'order:' || (1000000 + n)",
    "order_id": "1000000 + n",
    "received_at": "now() - interval '400 days' + n * interval '100 seconds'",
}
"""Columns that differ from row to row."""


def measure(rows: int) -> None:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "shop.settings",
            "BENCHMARK_DATABASE": "postgresql",
            "BENCHMARK_NAME": f"wechatpay_benchmark_{os.getpid()}",
            "BENCHMARK_KEYS": directory,
        }
        import django

        django.setup()
        from django.db import connection

        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            _measure(rows)
        finally:
            connection.creation.destroy_test_db(os.environ["BENCHMARK_NAME"], verbosity=0)


def _measure(rows: int) -> None:
    from django.core.management import call_command
    from django.db import connection
    from django.test.utils import CaptureQueriesContext
    from worker import left_by_a_callback

    left_by_a_callback()
    with connection.cursor() as cursor:
        cursor.execute("CREATE EXTENSION pageinspect")
        cursor.execute("UPDATE wechatpay_notify_signaldelivery SET status = 'done', done_at = now()")
        head = ("", "bytes a row", "its indexes", "levels", "rows a second")
        print(table(head, [_grow(cursor, name, rows) for name in TABLES]))
        cursor.execute("VACUUM ANALYZE")
    started = time.perf_counter()
    with CaptureQueriesContext(connection) as captured:
        call_command("wechatpay_prune")
    print(f"{len(captured)} statements, {time.perf_counter() - started:.1f} s\n")
    _explain(captured)


def _grow(cursor: Any, name: str, rows: int) -> list[str]:
    from django.apps import apps

    model = apps.get_model("wechatpay_notify", name)
    columns = [field.column for field in model._meta.concrete_fields if not field.primary_key]
    values = ", ".join(CHANGED.get(column, f'pattern."{column}"') for column in columns)
    listed = ", ".join(f'"{column}"' for column in columns)
    started = time.perf_counter()
    for first in range(1, rows + 1, 1000):
        cursor.execute(
            COPY.format(
                table=model._meta.db_table, columns=listed, values=values, first=first, last=min(first + 999, rows)
            )
        )
    seconds = time.perf_counter() - started
    cursor.execute(SIZES, {"table": model._meta.db_table})
    heap, indexes, depth = cursor.fetchone()
    return [name, f"{heap / rows:.0f}", f"{indexes / rows:.0f}", str(depth), f"{rows / seconds:.0f}"]


def _explain(captured: Any) -> None:
    """The plan of each kind of statement, made on the table as it is left."""
    from django.db import connection

    seen = set()
    for query in captured:
        sql = query["sql"]
        kind = sql[:60], "NOT (" in sql
        if kind not in seen and sql.split()[0] in ("SELECT", "DELETE"):
            seen.add(kind)
            with connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + sql)
                print(sql[:90], *(line[:150] for (line,) in cursor.fetchall()), sep="\n    ")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=300_000)
    measure(options.parse_args().rows)
