"""The twelve ways to run the shop that must all be right: database, transaction mode or isolation, ATOMIC_REQUESTS."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SQLITE_TIMEOUT = 1
"""Seconds. Short, so that a waiting copy is answered within the test; a shop takes 3."""

_MODES = {
    "sqlite": ("deferred", "immediate"),
    "postgresql": ("read committed", "repeatable read"),
    "mariadb": ("read committed", "repeatable read"),
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """One row of the results."""

    vendor: str
    mode: str
    atomic_requests: bool

    def __str__(self) -> str:
        return f"{self.vendor} {self.mode}{', ATOMIC_REQUESTS' if self.atomic_requests else ''}"

    @property
    def key(self) -> str:
        """Names this configuration in test ids, database names and the server's environment."""
        return f"{self.vendor}_{self.mode.replace(' ', '_')}{'_atomic' if self.atomic_requests else ''}"

    @property
    def has_row_locks(self) -> bool:
        """Whether a receiver at work holds up its own order alone. SQLite has one writer."""
        return self.vendor != "sqlite"

    def database(self, name: str) -> dict[str, Any]:
        """The entry for DATABASES."""
        return _DATABASES[self.vendor](name, self.mode) | {
            "ATOMIC_REQUESTS": self.atomic_requests,
            "CONN_MAX_AGE": 60,
        }

    def create(self, directory: Path) -> str:
        """Make an empty database; returns its name. A server that cannot be reached raises."""
        if self.vendor == "sqlite":
            return str(directory / "shop.sqlite3")
        name = f"wechatpay_races_{os.getpid()}_{self.key}"
        self.drop(name)
        self._administer(f"CREATE DATABASE {name}" + (" CHARACTER SET utf8mb4" if self.vendor == "mariadb" else ""))
        return name

    def drop(self, name: str) -> None:
        if self.vendor != "sqlite":
            force = " WITH (FORCE)" if self.vendor == "postgresql" else ""
            self._administer(f"DROP DATABASE IF EXISTS {name}{force}")

    def _administer(self, statement: str) -> None:
        if self.vendor == "postgresql":
            import psycopg

            entry = _postgresql("postgres", "")
            with psycopg.connect(host=entry["HOST"], user=entry["USER"], dbname="postgres", autocommit=True) as server:
                server.execute(statement)
            return
        import MySQLdb

        entry = _mariadb("", "")
        server = MySQLdb.connect(host=entry["HOST"], user=entry["USER"], passwd=entry["PASSWORD"])
        try:
            server.cursor().execute(statement)
        finally:
            server.close()


def _sqlite(name: str, mode: str) -> dict[str, Any]:
    options = {"transaction_mode": mode.upper(), "timeout": SQLITE_TIMEOUT, "init_command": "PRAGMA journal_mode=WAL"}
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": options}


def _postgresql(name: str, mode: str) -> dict[str, Any]:
    from django.db.backends.postgresql.psycopg_any import IsolationLevel

    levels = {"read committed": IsolationLevel.READ_COMMITTED, "repeatable read": IsolationLevel.REPEATABLE_READ}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "USER": os.environ.get("PGUSER", "postgres"),
        "OPTIONS": {"isolation_level": levels.get(mode)},
    }


def _mariadb(name: str, mode: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": name,
        "HOST": os.environ.get("MARIADB_HOST", "127.0.0.1"),
        "USER": os.environ.get("MARIADB_USER", "root"),
        "PASSWORD": os.environ.get("MARIADB_PASSWORD", ""),
        "OPTIONS": {"charset": "utf8mb4", "isolation_level": mode},
    }


_DATABASES = {"sqlite": _sqlite, "postgresql": _postgresql, "mariadb": _mariadb}

CONFIGURATIONS = {
    configuration.key: configuration
    for vendor, modes in _MODES.items()
    for mode in modes
    for atomic_requests in (False, True)
    for configuration in [Configuration(vendor, mode, atomic_requests)]
}


def chosen() -> list[Configuration]:
    """Those of WECHATPAY_RACE_DATABASES, "sqlite" by default; an unknown name raises rather than run nothing."""
    names = [name.strip() for name in os.environ.get("WECHATPAY_RACE_DATABASES", "sqlite").split(",") if name.strip()]
    unknown = [name for name in names if name not in _MODES]
    if unknown or not names:
        raise ValueError(f"WECHATPAY_RACE_DATABASES: choose from {', '.join(_MODES)}, not {unknown}")
    return [configuration for configuration in CONFIGURATIONS.values() if configuration.vendor in names]
