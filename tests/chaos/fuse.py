"""A fuse: counts the points that a process passes, and ends it with SIGKILL at one of them.

A point lies before and after every SQL statement, COMMIT and receiver call, and around the answer. Never returns from a
point that it kills at.
"""

import contextlib
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db import connection

from . import receivers

ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class End:
    """How a process ended."""

    killed_at: str
    """The point, "" if it came to its end."""
    acknowledged: bool
    """Whether it had answered success."""


class Fuse:
    def __init__(self, at: int, report: int) -> None:
        self.at, self.report, self.passed = at, report, 0

    def point(self, where: str) -> None:
        self.passed += 1
        if self.passed == self.at:
            self.say(where)
            os.kill(os.getpid(), signal.SIGKILL)

    def say(self, line: str) -> None:
        os.write(self.report, f"{line}\n".encode())

    @contextlib.contextmanager
    def around(self, what: str) -> Iterator[None]:
        self.point(f"before {what}")
        yield
        self.point(f"after {what}")

    def __call__(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        """Around a statement, as Django's `execute_wrappers` are."""
        with self.around(" ".join(sql.split()[:3])):
            return execute(sql, *rest)

    def burn(self) -> None:
        """From here on the points count."""
        commit = connection.commit

        def watched() -> None:
            with self.around("COMMIT"):
                commit()

        connection.commit = watched  # type: ignore[method-assign]
        connection.execute_wrappers.append(self)
        receivers.around = self.around


def killed(at: int, work: Callable[[Fuse], None]) -> End:
    """Run `work` in a child process that is killed at this point, the first being 1. Raises if `work` does."""
    report, write = os.pipe()
    connection.close()  # no two processes may share one
    child = os.fork()
    if not child:
        _live(Fuse(at, write), work)
    os.close(write)
    with os.fdopen(report) as lines:
        said = lines.read().splitlines()
    status = os.waitpid(child, 0)[1]
    acknowledged, rest = ACKNOWLEDGED in said, [line for line in said if line != ACKNOWLEDGED]
    if os.WIFSIGNALED(status):
        return End(rest[0], acknowledged)
    if status:
        raise RuntimeError("\n".join(rest))
    return End("", acknowledged)


def _live(fuse: Fuse, work: Callable[[Fuse], None]) -> None:
    """In the child: nothing of the parent's may be cleaned up here, whatever happens."""
    code = 1
    try:
        fuse.burn()
        work(fuse)
        code = 0
    except BaseException:
        fuse.say(traceback.format_exc())
    finally:
        os._exit(code)
