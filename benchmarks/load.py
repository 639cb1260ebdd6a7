"""Load: ready-made HTTP requests over connections kept alive, a thread each, as fast as the answers come.

Never signs or builds anything while the clock runs.
"""

import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass

TIMEOUT = 60


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn came to."""

    seconds: float
    statuses: Counter[int]


class Line:
    """One connection kept alive."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send one request and read its answer whole."""
        self.socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:")
        while len(body) < length:
            body += self._more()
        return int(head[9:12]), body

    def _more(self) -> bytes:
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server closed a connection that was to be kept alive")
        return data

    def close(self) -> None:
        self.socket.close()


def request(path: str, headers: dict[str, str], body: bytes, *, method: str = "POST") -> bytes:
    """The bytes of one HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def balanced(port: int, count: int, workers: int) -> list[Line]:
    """`count` connections, as many to each worker: a connection kept alive stays with whoever accepted it."""
    kept: dict[bytes, list[Line]] = {}
    spare: list[Line] = []
    for _ in range(40 * count):
        line = Line(port)
        _, pid = line.ask(request("/worker/", {}, b"", method="GET"))
        mine = kept.setdefault(pid, [])
        (mine if len(mine) < count // workers else spare).append(line)
        if sum(map(len, kept.values())) == count:
            break
        time.sleep(0.01)
    for line in spare:
        line.close()
    return [line for lines in kept.values() for line in lines]


def run(lines: list[Line], requests: list[bytes]) -> Turn:
    """Send all requests, dealt out to the connections one by one as they become free."""
    waiting = iter(requests)
    lock = threading.Lock()
    statuses: Counter[int] = Counter()
    failures: list[BaseException] = []

    def send(line: Line) -> None:
        mine: Counter[int] = Counter()
        try:
            while True:
                with lock:
                    following = next(waiting, None)
                if following is None:
                    break
                mine[line.ask(following)[0]] += 1
        except (OSError, ValueError, StopIteration) as error:
            failures.append(error)
        with lock:
            statuses.update(mine)

    threads = [threading.Thread(target=send, args=(line,)) for line in lines]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failures:
        raise failures[0]
    return Turn(seconds, statuses)
