"""The task engines: how each is configured, its real worker process, and what sweeps up after it.

Never leaves a process, a queue or a key behind.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from tests.races.configurations import Configuration
from tests.races.server import ROOT, SYNC, WSGI, Shop, running

CELERY = ("-m", "celery", "--app", "tests.engines.celery_app", "worker", "--concurrency", "2", "--loglevel", "WARNING")
CELERY = (*CELERY, "--without-gossip", "--without-mingle", "--without-heartbeat")
DB_WORKER = ("-m", "django", "db_worker", "--interval", "0.1", "--no-startup-delay", "--no-reload", "--skip-checks")
ONCE = ("-m", "django", "wechatpay_deliver", "--once", "--skip-checks")


@dataclass(frozen=True, slots=True)
class Engine:
    """One row of what is tried."""

    wake: str
    worker: tuple[str, ...]
    sweeper: tuple[str, ...]
    broker: str = ""

    @contextlib.contextmanager
    def shop(self, configuration: Configuration) -> Iterator[Shop]:
        """A shop that wakes this engine. Its queue is its own; a broker out of reach raises."""
        queue = f"wechatpay_{os.getpid()}_{configuration.key}"
        environment = {
            "DJANGO_SETTINGS_MODULE": "tests.engines.settings",
            "WECHATPAY_ENGINE_WAKE": self.wake,
            "WECHATPAY_ENGINE_BROKER": self.broker,
            "WECHATPAY_ENGINE_QUEUE": queue,
        }
        with self._queue(queue), running(configuration, *SYNC, WSGI, **environment) as shop:
            yield shop

    @contextlib.contextmanager
    def _queue(self, name: str) -> Iterator[None]:
        if not self.broker:
            yield
            return
        import kombu

        with kombu.Connection(self.broker, connect_timeout=5) as broker:
            broker.ensure_connection(max_retries=1)
            yield
            if self.broker.startswith("redis"):
                client = broker.default_channel.client
                for key in client.scan_iter(f"{name}*"):
                    client.delete(key)
                return
            kombu.Queue(name)(broker.default_channel).delete()
            kombu.Exchange(name)(broker.default_channel).delete()


_celery = partial(Engine, "wechatpay_notify.contrib.celery.wake", CELERY, (*CELERY, "--beat", "--schedule", "{beat}"))

ENGINES = {
    "redis": _celery(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")),
    "rabbitmq": _celery(os.environ.get("RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672//")),
    "tasks": Engine("wechatpay_notify.contrib.tasks.wake", DB_WORKER, ONCE),
}


@contextlib.contextmanager
def at_work(shop: Shop, command: tuple[str, ...]) -> Iterator[Callable[[], None]]:
    """This command of the shop's as a process; yields what kills it with all of its children, as happens in the end."""
    command = tuple(part.format(beat=shop.log.parent / "beat") for part in command)
    ended, inherited = os.pipe()
    with (shop.log.parent / "worker.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            env=shop.environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
            pass_fds=[inherited],
            start_new_session=True,
        )
    os.close(inherited)

    def kill() -> None:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            # Until the last child is gone, which Redis would hand the next message to.
            os.read(ended, 1)

    try:
        yield kill
    finally:
        kill()
        os.close(ended)
