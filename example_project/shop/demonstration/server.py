"""The shop's server as a process of its own, ended with the demo.

Never outlives the process that started it: it ends when its standard input does, even if that process was killed.
"""

import http.client
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from django.conf import settings

PATIENCE = 60
"""Seconds until the server must answer; it takes two on an idle machine."""
_LAST_WORDS = 2000


class ServerFailed(Exception):
    """The server ended, or did not answer in time."""


class Server:
    """`with Server(port) as server:` runs the shop on 127.0.0.1; `server.url` has no slash at its end.

    It starts at once, so that it can load while the tables are made; `wait()` before it is used.
    """

    def __init__(self, port: int | None) -> None:
        self.port = _free_port(port or 0)
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = Path(settings.DATA_DIR) / "server.log"

    def __enter__(self) -> "Server":
        manage = str(Path(settings.BASE_DIR) / "manage.py")
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, manage, "demo_server", "--noreload", f"127.0.0.1:{self.port}"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin:
            self.process.stdin.close()

    def wait(self) -> None:
        """Return when the shop answers. Raises ServerFailed with the server's last words."""
        give_up = time.monotonic() + PATIENCE
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > give_up:
                raise ServerFailed(self.log.read_text(errors="replace")[-_LAST_WORDS:])
            time.sleep(0.1)

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status == http.HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        # As the server will bind it: connections closed a minute ago are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except (OSError, OverflowError) as error:
            raise ServerFailed(f"port {wanted} cannot be used: {error}") from error
        return int(probe.getsockname()[1])
