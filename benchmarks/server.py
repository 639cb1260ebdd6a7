"""Server: gunicorn with the benchmark's site, listening on the loopback address until the block ends."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent


@contextmanager
def gunicorn(workers: int, threads: int, **environment: str) -> Iterator[int]:
    """Its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "django.core.wsgi:get_wsgi_application()", "--chdir", str(HERE)]
        + ["--bind", f"127.0.0.1:{port}", "--workers", str(workers), "--threads", str(threads)]
        + ["--worker-class", "gthread", "--keep-alive", "600", "--timeout", "120", "--log-level", "warning"]
        + ["--no-control-socket"] * _has_control_socket(),
        env=os.environ | environment,
    )
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=30)


def _has_control_socket() -> bool:
    """Newer gunicorns open a control socket in the home directory, which nobody needs here."""
    from gunicorn.config import make_settings

    return "control_socket_disable" in make_settings()
