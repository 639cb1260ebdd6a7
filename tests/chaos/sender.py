"""WeChat in a hurry: sends every notice several times, each copy until it is answered with success.

Its gaps are the documented ones, compressed. Never looks into the database.
"""

import heapq
import http.client
import itertools
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from wechatpay_notify.protocol.moments import RETRY_DELAYS
from wechatpay_notify.testing import Platform, Signed, transaction_number

AMOUNT, REFUNDED = 100, 40
COMPRESSED = 600
"""15 s become 25 ms. The long gaps end at LONGEST, after which it goes on until success."""
LONGEST = 3.0
TIMEOUT = 5.0
"""Seconds after which WeChat takes a request for failed (protocol, 1.10)."""
THREADS = 12
LAG = 30
"""The last copy of a notice comes so many orders later, the others at the same moment."""
EVERY_REFUND = 10
"""Each so manieth order is refunded in part, and WeChat may report it before the payment."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A payment or a refund that the shop is to learn of."""

    number: str
    version: str
    transaction: str
    refund: bool = False

    @property
    def out_refund_no(self) -> str:
        return f"refund-{self.number}" if self.refund else ""

    def signed(self, platform: Platform) -> Signed:
        """One copy, signed now."""
        if self.refund:
            numbers = {"transaction_id": self.transaction, "out_refund_no": self.out_refund_no}
            return platform.refund_v3(self.number, REFUNDED, total=AMOUNT, **numbers)
        make = platform.payment_v2 if self.version == "v2" else platform.payment_v3
        return make(self.number, AMOUNT, transaction_id=self.transaction)


def notices(orders: int) -> list[Notice]:
    """In the order in which they are paid: v3 and v2, half of the orders recorded before, half resolved."""
    made = []
    for number in range(orders):
        name = f"{'resolved' if number % 2 else 'recorded'}-{number}"
        made.append(Notice(name, "v2" if number % 4 > 1 else "v3", transaction_number()))
        if number % EVERY_REFUND == 0:
            made.append(Notice(name, "v3", made[-1].transaction, refund=True))
    return made


@dataclass(slots=True)
class WeChat:
    """Sends in threads until every copy was answered with success, or it is told to stop."""

    platform: Platform
    url: str
    total: int = 0
    done: int = 0
    acknowledged: Counter[Notice] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    stopped: threading.Event = field(default_factory=threading.Event)
    _fresh: deque[Notice] = field(default_factory=deque)
    _again: list[tuple[float, int, int, Notice]] = field(default_factory=list)
    _tickets: "itertools.count[int]" = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self, told: Iterable[Notice], copies: int) -> None:
        placed = [
            (position + (LAG if copy == copies - 1 else 0), notice)
            for position, notice in enumerate(told)
            for copy in range(copies)
        ]
        self._fresh.extend(notice for _, notice in sorted(placed, key=lambda pair: pair[0]))
        self.total = len(self._fresh)
        self._threads = [threading.Thread(target=self._send_on, name="wechat") for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.stopped.set()
        for thread in self._threads:
            thread.join()

    def _send_on(self) -> None:
        while self.done < self.total and not self.stopped.is_set():
            attempt, notice = self._next()
            if notice is None:
                time.sleep(0.01)
                continue
            answer = self._send(notice)
            with self._lock:
                self.answers[answer] += 1
                if answer == "success":
                    self.acknowledged[notice] += 1
                    self.done += 1
                else:
                    heapq.heappush(self._again, (_due(attempt), next(self._tickets), attempt + 1, notice))

    def _next(self) -> tuple[int, Notice | None]:
        """Which attempt at which notice is next: what is due again comes before what is new."""
        with self._lock:
            if self._again and self._again[0][0] <= time.monotonic():
                return heapq.heappop(self._again)[2:]
            return 1, self._fresh.popleft() if self._fresh else None

    def _send(self, notice: Notice) -> str:
        try:
            status, body = notice.signed(self.platform).send(self.url, timeout=TIMEOUT)
        except (OSError, http.client.HTTPException):
            return "broken off"
        if status == 200 and b"SUCCESS" in body:
            return "success"
        return "try again" if status in (200, 503) and b"retry" in body else f"HTTP {status}"


def _due(attempt: int) -> float:
    """When the attempt after this one is due."""
    gap = RETRY_DELAYS[attempt] / COMPRESSED if attempt < len(RETRY_DELAYS) else LONGEST
    return time.monotonic() + min(gap, LONGEST)
