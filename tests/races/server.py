"""A real server in a process of its own, listening on a free port of the loopback address.

Never leaves a process, a socket or a database behind.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wechatpay_notify.testing import Platform, development_platform

from .configurations import Configuration

ROOT = Path(__file__).resolve().parents[2]
BOOT_SECONDS = 60
GTHREAD = ("-m", "gunicorn", "-k", "gthread", "-w", "2", "--threads", "8", "-b", "fd://{fd}", "--graceful-timeout", "1")
SYNC = ("-m", "gunicorn", "-k", "sync", "-w", "2", "-b", "fd://{fd}", "--graceful-timeout", "1")
UVICORN = ("-m", "uvicorn", "--factory", "--fd", "{fd}", "--lifespan", "off", "--timeout-graceful-shutdown", "1")
WSGI = "django.core.wsgi:get_wsgi_application()"
ASGI = "django.core.asgi:get_asgi_application"


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop that listens, and the pretend WeChat whose keys it has."""

    configuration: Configuration
    platform: Platform
    address: tuple[str, int]
    log: Path
    environment: dict[str, str]
    """That of the server, for other processes of the same shop."""

    @property
    def url(self) -> str:
        return f"http://{self.address[0]}:{self.address[1]}"

    @property
    def notify_url(self) -> str:
        return f"{self.url}/wechatpay/notify/"


@contextlib.contextmanager
def running(configuration: Configuration, *server: str, **changes: str) -> Iterator[Shop]:
    """The shop under this configuration and server, on an empty database. A database out of reach raises.

    `changes` of its environment, such as other settings.
    """
    directory = Path(tempfile.mkdtemp(prefix="races"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        name = configuration.create(directory)
        stack.callback(configuration.drop, name)
        platform = development_platform(directory)
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.races.settings",
            "WECHATPAY_RACE_CONFIGURATION": configuration.key,
            "WECHATPAY_RACE_DATABASE_NAME": name,
            "WECHATPAY_RACE_DIRECTORY": str(directory),
            "XDG_RUNTIME_DIR": str(directory),  # gunicorn's control socket
            "PYTHONPATH": str(ROOT),
            **changes,
        }
        migrate = [sys.executable, "-m", "django", "migrate", "--run-syncdb", "--skip-checks", "--verbosity=0"]
        subprocess.run(migrate, env=environment, cwd=ROOT, check=True)
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512))
        command = [part.format(fd=listener.fileno()) for part in server]
        log = directory / "server.log"
        process = subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
            stderr=stack.enter_context(log.open("wb")),
        )
        stack.callback(_stop, process)
        shop = Shop(configuration, platform, listener.getsockname(), log, environment)
        _wait(shop, process)
        yield shop


def _wait(shop: Shop, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{shop.url}/desk/report/", timeout=BOOT_SECONDS):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the server did not answer:\n{shop.log.read_text(errors='replace')[-3000:]}")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
