"""Plans: which queries of a page would read the log from end to end.

Never runs the query: the database is asked how it would.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from wechatpay_notify.models import NotificationLog

Query = tuple[str, Any]
EXPLAIN = {"postgresql": "EXPLAIN ", "sqlite": "EXPLAIN QUERY PLAN ", "mysql": "EXPLAIN "}
LOG = NotificationLog._meta.db_table


@contextmanager
def queries() -> Iterator[list[Query]]:
    """What is asked meanwhile, as it is asked."""
    asked: list[Query] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        yield asked


def whole_reads(query: Query) -> list[str]:
    """The steps of its plan that read the log without an index."""
    sql, params = query
    if LOG not in sql or not sql.lstrip("(").startswith("SELECT"):
        return []
    with connection.cursor() as cursor:
        cursor.execute(EXPLAIN[connection.vendor] + sql, params)
        plan = [" ".join(map(str, line)) for line in cursor.fetchall()]
    names = "|".join([LOG, *re.findall(rf"{LOG}[\"`] ([A-Z]\d+)\b", sql)])
    wanted = {
        "postgresql": rf"Seq Scan on {LOG}",
        "sqlite": rf"SCAN ({names})\b(?!.* INDEX)",
        "mysql": rf"^\S+ \S+ ({names}) ALL",
    }[connection.vendor]
    return [line.strip() for line in plan if re.search(wanted, line)]
