"""A supervisor: keeps the shop's server and its two workers running whatever happens to them, and does it to them.

Never leaves a process behind, nor ends one that it did not start.
"""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from tests.races.server import GTHREAD, ROOT, WSGI

MARK = "WECHATPAY_CHAOS_SUPERVISED"
"""In the environment of everything started here, so that what outlives its parent is found again."""
LOOK_SECONDS = 0.1
STOP_SECONDS = 10
VICTIMS = {"worker": 6, "deliver": 3, "master": 1}
"""How often each is killed, in proportion."""


class Supervisor:
    """Runs gunicorn, two processes of eight threads, and `wechatpay_deliver --loop` twice."""

    def __init__(self, directory: Path, listener: socket.socket) -> None:
        self.listener, self.log, self.mark = listener, directory / "supervised.log", str(directory)
        # XDG_RUNTIME_DIR is where gunicorn's control socket goes.
        self.environment = os.environ | {MARK: self.mark, "PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(directory)}
        deliver = ("-m", "django", "wechatpay_deliver", "--loop", "--interval", "0.2", "--skip-checks")
        server = (*(part.format(fd=listener.fileno()) for part in GTHREAD), WSGI)
        self.commands = {"master": server, "deliver 1": deliver, "deliver 2": deliver}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.ending = threading.Event()
        self.watch = threading.Thread(target=self._watch, name="supervisor")

    def __enter__(self) -> "Supervisor":
        self.watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.ending.set()
        self.watch.join()
        for process in self.processes.values():
            process.terminate()
        until = time.monotonic() + STOP_SECONDS
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0, until - time.monotonic()))
        for pid in _marked(self.mark):  # what did not end, and workers whose master was killed
            _kill(pid)
        for process in self.processes.values():
            process.wait()

    def kill(self) -> bool:
        """Kill one process at random; whether it was there."""
        victim = random.choices(list(VICTIMS), VICTIMS.values())[0]
        if victim == "deliver":
            victim += random.choice([" 1", " 2"])
        process = self.processes.get("master" if victim == "worker" else victim)
        if process is None or process.poll() is not None:
            return False
        pids = _children(process.pid) if victim == "worker" else [process.pid]
        return bool(pids) and _kill(random.choice(pids))

    def reload(self) -> None:
        """Let the server start new workers under the settings of now, as a deploy does; requests go on."""
        with contextlib.suppress(KeyError):
            self.processes["master"].send_signal(signal.SIGHUP)

    def _watch(self) -> None:
        with self.log.open("ab") as log:
            while not self.ending.wait(LOOK_SECONDS):
                for name, command in self.commands.items():
                    if name not in self.processes or self.processes[name].poll() is not None:
                        self.processes[name] = subprocess.Popen(
                            [sys.executable, *command],
                            cwd=ROOT,
                            env=self.environment,
                            pass_fds=[self.listener.fileno()],
                            stdout=log,
                            stderr=log,
                        )


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _marked(mark: str) -> list[int]:
    wanted, found = f"{MARK}={mark}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


def _kill(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
