"""Contention: database errors that are worth a second try, because somebody else was first or a text was refused.

Never hides an error: it only tells these apart, in each database's words.
"""

from django.db import DataError, OperationalError, connections
from django.db.utils import Error

from .protocol.errors import Misconfigured

_SQLSTATES = ("40001", "40P01")
"""PostgreSQL: serialization failure, deadlock."""
_MYSQL_CODES = (1213, 1205, 1020)
"""Deadlock, lock wait timeout, record changed since last read (MariaDB with snapshot isolation)."""


def is_contention(error: Exception) -> bool:
    """Whether the transaction that raised this may succeed when run again at once."""
    if not isinstance(error, Error):
        return False
    cause = error.__cause__
    if getattr(cause, "sqlstate", getattr(cause, "pgcode", None)) in _SQLSTATES:
        return True
    return isinstance(error, OperationalError) and bool(error.args) and error.args[0] in _MYSQL_CODES


def is_writer_busy(error: Exception) -> bool:
    """Whether SQLite's one writer kept us waiting for the whole `timeout`; asking again would wait as long."""
    return str(getattr(error.__cause__, "sqlite_errorname", "")).startswith("SQLITE_BUSY")


def is_unstorable(error: Exception) -> bool:
    """Whether the database refuses a text; 1366 is MySQL's "incorrect string value", as for emoji in utf8mb3."""
    return isinstance(error, DataError) or (isinstance(error, OperationalError) and error.args[:1] == (1366,))


def skips_locked(using: str) -> bool:
    """Whether this database can pass over rows that another transaction holds."""
    return bool(connections[using].features.has_select_for_update_skip_locked)


def must_commit(using: str) -> None:
    """Raises Misconfigured where transactions would not be committed when they end: with AUTOCOMMIT off, success
    would be answered for what the end of the connection takes back."""
    connection = connections[using]
    if not connection.in_atomic_block and not connection.get_autocommit():
        raise Misconfigured(f'DATABASES["{using}"] has AUTOCOMMIT off, so nothing would be committed', proven=True)
