"""WeChat and the shop's staff, seen from outside: both only ever speak HTTP to the server.

Never looks into the database; what is on record is asked at the shop's desk.
"""

import itertools
import json
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from wechatpay_notify.testing import Platform, Signed, transaction_number

from .server import Shop

RETRY_SECONDS = 0.2
RETRIES = 60
AMOUNT = 100
KINDS = ("v3", "MD5", "HMAC-SHA256")
V2_STATUS = {"SUCCESS": "SUCCESS", "ABNORMAL": "CHANGE", "CLOSED": "REFUNDCLOSE"}
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Notice:
    """One payment that WeChat tells of until it is answered with success."""

    number: str
    kind: str = "v3"
    transaction: str = field(default_factory=transaction_number)
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))
    parts: tuple["Notice", ...] = ()
    """The sub orders of a combined order, which `number` is the number of."""

    def signed(self, platform: Platform) -> Signed:
        if self.parts:
            return platform.v3("TRANSACTION.SUCCESS", _combined(platform, self), notification_id=self.identifier)
        if self.kind == "v3":
            return platform.payment_v3(
                self.number, AMOUNT, transaction_id=self.transaction, notification_id=self.identifier
            )
        return platform.payment_v2(
            self.number,
            AMOUNT,
            transaction_id=self.transaction,
            sign_type="MD5" if self.kind == "MD5" else "HMAC-SHA256",
        )


@dataclass(frozen=True, slots=True)
class RefundNotice:
    """One refund that WeChat tells of until it is answered with success."""

    payment: Notice
    number: str
    amount: int = AMOUNT
    kind: str = "v3"
    status: str = "SUCCESS"
    identifier: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def told(self) -> str:
        """What the receiver of this writes."""
        return f"{self.status} {self.number}"

    def signed(self, platform: Platform) -> Signed:
        numbers = {"transaction_id": self.payment.transaction, "out_refund_no": self.number}
        if self.kind == "v2":
            return platform.refund_v2(
                self.payment.number, self.amount, total=AMOUNT, status=V2_STATUS[self.status], **numbers
            )
        return platform.refund_v3(
            self.payment.number,
            self.amount,
            total=AMOUNT,
            status=self.status,
            notification_id=self.identifier,
            **numbers,
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What one copy was answered; status 0 when the connection broke."""

    status: int
    body: bytes
    seconds: float

    @property
    def success(self) -> bool:
        return self.status == 200 and b"SUCCESS" in self.body

    @property
    def retry(self) -> bool:
        """Whether the shop asked to be told again: busy, failed, or the database out of reach."""
        return not self.success and b"retry" in self.body

    @property
    def refused(self) -> bool:
        """Whether the shop said that this contradicts its record."""
        return b"rejected" in self.body


@dataclass(slots=True)
class Tally:
    """What one scenario sent, what it was answered and what came of it."""

    shop: Shop
    answers: list[Answer] = field(default_factory=list)
    effects: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0


class WeChat:
    """Sends notices, counts every answer."""

    def __init__(self, tally: Tally) -> None:
        self.shop, self.tally = tally.shop, tally

    def send(self, notice: Notice | RefundNotice) -> Answer:
        """One copy, signed now."""
        signed, started = notice.signed(self.shop.platform), time.monotonic()
        try:
            status, body = signed.send(self.shop.notify_url, timeout=30)
        except OSError:
            status, body = 0, b""
        answer = Answer(status, body, time.monotonic() - started)
        self.tally.answers.append(answer)
        return answer

    def insist(self, notice: Notice | RefundNotice) -> list[Answer]:
        """Send until success, as WeChat does, only sooner; fails the test when success never comes."""
        return self._repeat(notice, lambda answer: answer.success)

    def ask(self, notice: Notice | RefundNotice) -> Answer:
        """Send until the shop has made up its mind: success, or refused."""
        return self._repeat(notice, lambda answer: answer.success or answer.refused)[-1]

    def _repeat(self, notice: Notice | RefundNotice, enough: Callable[[Answer], bool]) -> list[Answer]:
        answers: list[Answer] = []
        for _ in range(RETRIES):
            answers.append(self.send(notice))
            if enough(answers[-1]):
                return answers
            time.sleep(RETRY_SECONDS)
        raise AssertionError(f"{notice} was never answered as it must be: {answers[-3:]}")


class Staff:
    """The shop's side of the counter."""

    def __init__(self, tally: Tally) -> None:
        self.shop, self.tally = tally.shop, tally

    def number(self, plan: str) -> str:
        """A number no order or refund has had; `plan` says how the receiver `ship`, or a refund's, behaves."""
        return f"{plan}-{next(_numbers)}"

    def expect(self, *numbers: str, **details: Any) -> None:
        """Record the orders."""
        self._post("orders", [{"out_trade_no": number, "amount": AMOUNT} | details for number in numbers])

    def order(self, plan: str, **details: str) -> str:
        """Record a new order; returns its number."""
        number = self.number(plan)
        self.expect(number, **details)
        return number

    def shelves(self, number: int) -> None:
        self._post("shelves", number)

    def amend(self, number: str, amount: int) -> None:
        """Correct what was to be paid."""
        self._post("amend", [number, amount])

    def age(self) -> None:
        """Let a year go by for all that has arrived."""
        self._post("age", None)

    def prune(self) -> str:
        """Delete old notifications; returns what the command said."""
        return str(self._post("prune", None)["said"])

    def replay(self, number: str) -> str:
        """Process again what arrived first of this number; returns the outcome."""
        return str(self._post("replay", number)["outcome"])

    def deliver_again(self, number: str, *, force: bool = False) -> dict[str, int]:
        """Deliver again what the receivers of this order were told, or were not; how they ended."""
        return dict(self._post("again", [number, force]))

    def work(self) -> None:
        """Be a worker until nothing is due."""
        self._post("work", None)

    def hurry(self) -> None:
        """Let what is pending be due now."""
        self._post("hurry", None)

    def open_gate(self, number: str) -> None:
        """Let the receiver of this order go on."""
        self._post("gate", number)

    def close(self, number: str) -> bool:
        """Close an order; returns whether it moved."""
        return bool(self._post("close", number)["closed"])

    def report(self, *numbers: str) -> list[dict[str, Any]]:
        """What is on record about each order."""
        query = urlencode({"number": numbers}, doseq=True)
        with urllib.request.urlopen(f"{self.shop.url}/desk/report/?{query}", timeout=30) as response:
            found = json.load(response)
        self.tally.effects = total(about["effects"] for about in found.values()).total()
        self.tally.outcomes = total(about["outcomes"] for about in found.values())
        return [found[number] for number in numbers]

    def wait_for_call(self, number: str, receiver: str = "ship", call: int = 1) -> None:
        """Until the receiver is at work."""
        until = time.monotonic() + 30
        while self.report(number)[0]["calls"].get(receiver, 0) < call:
            assert time.monotonic() < until, f"{receiver} was not called for {number}"
            time.sleep(0.05)

    def _post(self, page: str, data: object) -> Any:
        """Do it at the desk; again where the database made the shop give way, which rolls the request back."""
        request = urllib.request.Request(f"{self.shop.url}/desk/{page}/", json.dumps(data).encode())
        for _ in range(RETRIES):
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return json.load(response)
            except urllib.error.HTTPError as error:
                error.close()
                time.sleep(RETRY_SECONDS)
        raise AssertionError(f"the shop's desk never did {page} {data}")


def _combined(platform: Platform, notice: Notice) -> dict[str, Any]:
    amount = {"total_amount": AMOUNT, "payer_amount": AMOUNT, "currency": "CNY"}
    return {
        "combine_mchid": platform.mchid,
        "combine_appid": platform.appid,
        "combine_out_trade_no": notice.number,
        "sub_orders": [
            platform.payment_resource(part.number, AMOUNT, transaction_id=part.transaction, amount=amount)
            for part in notice.parts
        ],
    }


def at_once(*jobs: Callable[[], Any]) -> list[Any]:
    """Run these in threads that all start together; results in order. What a job raises comes through."""
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        barrier.wait(timeout=30)
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(run, job) for job in jobs]]


def total(counters: Iterable[dict[str, int]]) -> Counter[str]:
    """The sum of these counts."""
    found: Counter[str] = Counter()
    for counter in counters:
        found.update(counter)
    return found
