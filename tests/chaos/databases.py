"""A database of one's own in a temporary directory, on a free port of the loopback address: crashing it harms nobody.

Never leaves a process or a file behind.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

START_SECONDS = 90


class Sqlite:
    """A file: there is no server that could crash."""

    crashes = False

    def __init__(self, directory: Path, *, durable: bool) -> None:
        # A killed process loses nothing that it wrote to the file: syncing is for when the whole machine falls.
        synchronous = "FULL" if durable else "OFF"
        command = f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous}"
        options = {"transaction_mode": "IMMEDIATE", "timeout": 3, "init_command": command}
        name = str(directory / "shop.sqlite3")
        self.entry: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": name, "OPTIONS": options}

    def start(self) -> None:
        """Nothing to start."""

    def crash(self) -> None:
        raise NotImplementedError("SQLite has no server")

    def stop(self) -> None:
        """Nothing to stop."""


class Postgresql:
    """A cluster of its own; it crashes by `pg_ctl stop -m immediate`, which writes no checkpoint."""

    crashes = True
    account: ClassVar[str] = "postgres"

    def __init__(self, directory: Path, *, durable: bool) -> None:
        self.data, self.log = directory / "data", directory / "server.log"
        self.entry: dict[str, Any] = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "HOST": "127.0.0.1",
            "PORT": _free_port(),
            "USER": "postgres",
        }
        self.options = f"-c listen_addresses=127.0.0.1 -p {self.entry['PORT']} -k {directory} -c fsync={_on(durable)}"
        _give_to(self.account, directory)
        _run(self.account, "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")

    def start(self) -> None:
        waiting = ("-w", "-t", START_SECONDS, "-l", self.log, "-o", self.options)
        _run(self.account, "pg_ctl", "start", "-D", self.data, *waiting)

    def crash(self) -> None:
        _run(self.account, "pg_ctl", "stop", "-D", self.data, "-m", "immediate")

    def stop(self) -> None:
        if (self.data / "postmaster.pid").exists():
            self.crash()


class Mariadb:
    """A server of its own, whose every commit is on the disk before it is reported; it crashes by SIGKILL."""

    crashes = True
    account: ClassVar[str] = "mysql"

    def __init__(self, directory: Path, *, durable: bool) -> None:
        data, self.log = directory / "data", directory / "server.log"
        self.entry: dict[str, Any] = {
            "ENGINE": "django.db.backends.mysql",
            "NAME": "shop",
            "HOST": "127.0.0.1",
            "PORT": _free_port(),
            "USER": "root",
            "OPTIONS": {"charset": "utf8mb4", "connect_timeout": 5},
        }
        account = [f"--user={self.account}"] if os.geteuid() == 0 else []
        self.options = [
            "--no-defaults", f"--datadir={data}", *account,
            "--bind-address=127.0.0.1", f"--port={self.entry['PORT']}", f"--socket={directory / 'socket'}",
            f"--pid-file={directory / 'pid'}", f"--innodb-flush-log-at-trx-commit={1 if durable else 0}",
            "--innodb-buffer-pool-size=64M", "--performance-schema=OFF",
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        _give_to(self.account, directory)
        method = "--auth-root-authentication-method=normal"
        _run("", "mariadb-install-db", "--no-defaults", f"--datadir={data}", *account, method, "--skip-test-db")

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([_binary("mariadbd"), *self.options], stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"mariadbd did not start:\n{self.log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)

    def crash(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def stop(self) -> None:
        self.crash()

    def _answers(self) -> bool:
        import MySQLdb

        try:
            server = MySQLdb.connect(host="127.0.0.1", port=self.entry["PORT"], user="root", connect_timeout=5)
        except MySQLdb.OperationalError:
            return False
        with contextlib.closing(server):
            server.cursor().execute("CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4")
        return True


Database = Sqlite | Postgresql | Mariadb
VENDORS: dict[str, type[Database]] = {"sqlite": Sqlite, "postgresql": Postgresql, "mariadb": Mariadb}


@contextlib.contextmanager
def running(vendor: str, *, durable: bool) -> Iterator[Database]:
    """An empty database of this vendor that answers. `durable` if it must survive a crash of its server."""
    directory = Path(tempfile.mkdtemp(prefix="chaos-database-"))
    try:
        database = VENDORS[vendor](directory, durable=durable)
        try:
            database.start()
            yield database
        finally:
            database.stop()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _give_to(account: str, directory: Path) -> None:
    """Database servers refuse to run as root, as tests in a container do."""
    if os.geteuid() == 0:
        shutil.chown(directory, account)


def _run(account: str, program: str, *arguments: object) -> None:
    become = ["runuser", "-u", account, "--"] if account and os.geteuid() == 0 else []
    command = [*become, _binary(program), *map(str, arguments)]
    # Into a file: a server that is started keeps a pipe open, and whoever reads from it would wait for ever.
    with tempfile.TemporaryFile() as out:
        if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", check=False).returncode:
            out.seek(0)
            raise RuntimeError(f"{program} failed:\n{out.read().decode(errors='replace')[-3000:]}")


def _binary(program: str) -> str:
    """Debian keeps the servers' programs out of the PATH."""
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *map(str, newest)])
    found = shutil.which(program, path=path)
    if found is None:
        raise RuntimeError(f"{program} is not installed")
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _on(value: bool) -> str:
    return "on" if value else "off"
