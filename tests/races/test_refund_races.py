"""What must hold for refunds whoever is first: each told once and after its payment, never more than was paid."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from statistics import median

import pytest

from .configurations import SQLITE_TIMEOUT
from .test_races import AT_ONCE_SECONDS, FULFILLED
from .wechat import AMOUNT, Notice, RefundNotice, at_once


@pytest.fixture
def pay(wechat, staff):
    """Payments that are confirmed and told."""

    def pay(count):
        notices = [Notice(staff.order("ships")) for _ in range(count)]
        at_once(*(partial(wechat.insist, notice) for notice in notices))
        return notices

    return pay


@pytest.fixture
def refund(staff):
    """One refund, as v3 tells it and as v2 does."""

    def refund(payment, amount, plan="books"):
        notice = RefundNotice(payment, staff.number(plan), amount)
        return [notice, replace(notice, kind="v2")]

    return refund


@pytest.mark.parametrize("plan", ["waits", "holds"])
def test_the_receiver_of_a_payment_at_work_holds_up_no_refund(shop, wechat, staff, pay, refund, plan):
    slow, (paid,) = Notice(staff.order(plan)), pay(1)
    ours = [*refund(slow, 30), *refund(slow, AMOUNT - 30)]
    elsewhere = [*(Notice(staff.order("ships")) for _ in range(3)), refund(paid, AMOUNT)[0]]
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(wechat.insist, slow)
        staff.wait_for_call(slow.number)
        answers = at_once(*(partial(wechat.send, notice) for notice in [*ours, *elsewhere]))
        assert not told.done(), "every answer was to come while the receiver was at work"
        staff.open_gate(slow.number)
    assert all(answer.retry for answer in answers[:4])
    seconds = [answer.seconds for answer in answers]
    if shop.configuration.has_row_locks:
        assert all(answer.success for answer in answers[4:])
        assert median(seconds) < AT_ONCE_SECONDS
    else:
        # One writer: they wait for `timeout`, once.
        assert min(seconds) < 2 * SQLITE_TIMEOUT

    at_once(*(partial(wechat.insist, notice) for notice in [*ours, *elsewhere]))

    about, refunded, *others = staff.report(slow.number, paid.number, *(notice.number for notice in elsewhere[:3]))
    assert about["effects"] == FULFILLED | {ours[0].told: 1, ours[2].told: 1}
    assert about["calls"] == about["effects"], "nobody was called in vain"
    assert about["refunded"] == refunded["refunded"] == AMOUNT
    assert refunded["effects"] == FULFILLED | {elsewhere[3].told: 1}
    assert [one["effects"] for one in others] == [FULFILLED] * 3


def test_simultaneous_copies_of_partial_refunds_are_recorded_and_told_once(wechat, staff, pay, refund):
    payments = pay(4)
    parts = {payment.number: [refund(payment, amount) for amount in (10, 20, 30)] for payment in payments}
    notices = [notice for refunds in parts.values() for copies in refunds for notice in copies]

    at_once(*(partial(wechat.insist, notice) for notice in notices * 2))

    for refunds, about in zip(parts.values(), staff.report(*parts), strict=True):
        assert about["refunded"] == 60
        assert about["refunds"] == {notice.number: ["SUCCESS", notice.amount] for notice, _ in refunds}
        assert about["effects"] == FULFILLED | {notice.told: 1 for notice, _ in refunds}
        assert about["deliveries"] == {"done": 5}
        assert about["discrepancies"] == {}


def test_of_two_refunds_that_exceed_the_amount_one_is_recorded(wechat, staff, pay, refund):
    payments = pay(4)
    amounts = [(60, 60), (AMOUNT, 1)] * 2
    pairs = [[refund(payment, amount) for amount in pair] for payment, pair in zip(payments, amounts, strict=True)]
    notices = [notice for pair in pairs for copies in pair for notice in copies]

    answers = at_once(*(partial(wechat.ask, notice) for notice in notices * 2))

    believed = {notice.number for notice, answer in zip(notices * 2, answers, strict=True) if answer.success}
    refused = {notice.number for notice, answer in zip(notices * 2, answers, strict=True) if answer.refused}
    assert not believed & refused, "all copies of one refund are answered alike"
    for pair, about in zip(pairs, staff.report(*(payment.number for payment in payments)), strict=True):
        (recorded,) = (notice for notice, _ in pair if notice.number in believed)
        assert about["refunded"] == recorded.amount
        assert about["refunds"] == {recorded.number: ["SUCCESS", recorded.amount]}
        assert about["effects"] == FULFILLED | {recorded.told: 1}
        assert about["deliveries"] == {"done": 3}
        assert about["discrepancies"] == {"refund_conflict": True}


def test_a_payment_and_its_refund_at_once_end_alike(wechat, staff, refund):
    payments = [Notice(staff.number("ships")) for _ in range(10)]
    staff.expect(*(payment.number for payment in payments))
    refunds = [refund(payment, amount) for payment, amount in zip(payments, [30, AMOUNT] * 5, strict=True)]
    notices = [[payment, *copies] for payment, copies in zip(payments, refunds, strict=True)]
    turned = [one[:: 1 if number % 4 < 2 else -1] for number, one in enumerate(notices)]

    at_once(*(partial(wechat.insist, notice) for one in turned for notice in one * 2))

    for (payment, notice, _), about in zip(notices, staff.report(*(one.number for one in payments)), strict=True):
        assert (about["status"], about["transaction"]) == ("paid", payment.transaction)
        assert about["refunded"] == notice.amount
        assert about["refunds"] == {notice.number: ["SUCCESS", notice.amount]}
        assert "pending" not in about["deliveries"]
        assert set(about["effects"].values()) == {1}
        told = list(about["effects"])
        if notice.amount < AMOUNT:
            assert told == [*FULFILLED, notice.told]
        elif "alarm already_refunded" in told:
            assert sorted(told) == sorted([notice.told, "alarm already_refunded"])
        else:
            # What was not fulfilled yet when the whole payment had gone back is not fulfilled any more.
            assert told == [*list(FULFILLED)[: len(told) - 1], notice.told]


def test_a_refund_that_is_stuck_and_succeeds_at_once_succeeds(wechat, staff, pay, refund):
    successes = [notice for payment in pay(5) for notice in refund(payment, 40)]
    stuck = [replace(notice, status="ABNORMAL", identifier=f"stuck-{notice.number}") for notice in successes]

    at_once(*(partial(wechat.insist, notice) for pair in zip(successes, stuck, strict=True) for notice in pair * 2))

    for notice, first, about in zip(
        successes[::2], stuck[::2], staff.report(*(notice.payment.number for notice in successes[::2])), strict=True
    ):
        assert (about["refunded"], about["refunds"]) == (40, {notice.number: ["SUCCESS", 40]})
        assert set(about["effects"].values()) == {1}
        assert list(about["effects"])[2:] in ([notice.told], [first.told, notice.told])
        assert "pending" not in about["deliveries"]


def test_a_worker_killed_inside_the_receiver_of_a_refund_loses_and_doubles_nothing(wechat, staff, pay, refund):
    (payment,) = pay(1)
    notice, again = refund(payment, AMOUNT, "dies")

    answers = [*wechat.insist(notice), wechat.send(again)]

    assert answers[0].status == 0, "the connection was to break"
    assert answers[-1].success
    (about,) = staff.report(payment.number)
    assert about["effects"] == FULFILLED | {notice.told: 1}
    assert about["calls"] == {"ship": 1, "invoice": 1, notice.told: 2}
    assert (about["refunded"], about["refunds"]) == (AMOUNT, {notice.number: ["SUCCESS", AMOUNT]})


def test_a_refund_does_not_wait_for_the_receiver_that_is_just_recording_it(shop, wechat, staff):
    """The shop sends a second payment back while it is told of it, and WeChat reports that at once."""
    first = Notice(staff.order("returned"))
    second = Notice(first.number)
    back = RefundNotice(second, f"books-{second.transaction}", AMOUNT)
    wechat.insist(first)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(wechat.insist, second)
        staff.wait_for_call(first.number, "alarm")
        answer = wechat.send(back)
        assert not told.done(), "the answer was to come while the receiver was at work"
        staff.open_gate(first.number)
    assert answer.retry
    assert answer.seconds < (AT_ONCE_SECONDS if shop.configuration.has_row_locks else 2 * SQLITE_TIMEOUT)
    wechat.insist(back)
    (about,) = staff.report(first.number)
    assert about["effects"] == FULFILLED | {"alarm already_paid": 1, back.told: 1}
    assert about["refunded"] == 0
