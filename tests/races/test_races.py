"""What must hold whoever is first: exactly one fulfilment an order, the right answers, nothing lost."""

import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from statistics import median

import pytest

from .configurations import SQLITE_TIMEOUT
from .receivers import NOTE_SECONDS
from .wechat import AMOUNT, KINDS, Notice, at_once, total

FULFILLED = {"ship": 1, "invoice": 1}
AT_ONCE_SECONDS = 1.0
"""What half of the answers come well within, on a machine that is not overloaded."""


# First, while the ledger is all but empty: there MariaDB prefers plans that lock the whole of it.
@pytest.mark.parametrize("plan", ["waits", "holds"])
def test_a_receiver_at_work_holds_up_no_other_answer(shop, wechat, staff, plan):
    slow, others = staff.order(plan), [staff.order("ships") for _ in range(3)]
    first, second = Notice(slow), Notice(slow, "HMAC-SHA256")
    elsewhere = [second, *(Notice(number) for number in others)]
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(wechat.insist, first)
        staff.wait_for_call(slow)
        answers = at_once(*(partial(wechat.send, notice) for notice in [*elsewhere, *[first] * 5]))
        assert not told.done(), "every answer was to come while the receiver was at work"
        staff.open_gate(slow)
    assert [answer.status for answer in answers[4:]] == [503] * 5
    seconds = [answer.seconds for answer in answers]
    if shop.configuration.has_row_locks:
        assert [answer.success for answer in answers[:4]] == [True] * 4
        assert median(seconds) < AT_ONCE_SECONDS
    else:
        # One writer: they wait for `timeout`, once.
        assert min(seconds) < 2 * SQLITE_TIMEOUT

    at_once(*(partial(wechat.insist, notice) for notice in [*elsewhere, first]))

    about, *unrelated = staff.report(slow, *others)
    assert about["effects"] == FULFILLED | {"alarm already_paid": 1}
    assert about["calls"]["ship"] == 1
    assert [one["effects"] for one in unrelated] == [FULFILLED] * 3


def test_simultaneous_duplicates_are_told_once(shop, wechat, staff):
    notices = [Notice(staff.number("ships"), KINDS[number % 3]) for number in range(20)]
    numbers = [notice.number for notice in notices]
    staff.expect(*numbers)

    copies = [answers[-1] for answers in at_once(*(partial(wechat.insist, notice) for notice in notices * 8))]

    found = staff.report(*numbers)
    assert [about["status"] for about in found] == ["paid"] * 20
    assert [about["effects"] for about in found] == [FULFILLED] * 20
    assert [about["deliveries"] for about in found] == [{"done": 2}] * 20
    outcomes = total(about["outcomes"] for about in found)
    assert len(copies) == outcomes["confirmed"] + outcomes["duplicate"] == 160, "every success has its row"
    if shop.configuration.has_row_locks:
        assert sum(about["unanswered"] for about in found) == 0


def test_a_failing_receiver_runs_again_and_the_other_does_not(wechat, staff):
    number = staff.order("fails")
    answers = wechat.insist(Notice(number))
    assert [answer.status for answer in answers] == [503, 503, 200]
    (about,) = staff.report(number)
    assert about["effects"] == FULFILLED
    assert about["calls"] == {"ship": 3, "invoice": 1}


def test_a_receiver_whose_on_commit_callback_raises_is_done(wechat, staff):
    number = staff.order("hooks")
    notice = Notice(number)
    assert [answer.status for answer in [*wechat.insist(notice), wechat.send(notice)]] == [200, 200]
    (about,) = staff.report(number)
    assert about["effects"] == FULFILLED
    assert about["calls"] == {"ship": 1, "invoice": 1}


def test_an_order_closed_as_it_is_paid_is_confirmed_or_unexpected(wechat, staff):
    numbers = [staff.number("ships") for _ in range(20)]
    staff.expect(*numbers)
    jobs = [(partial(wechat.insist, Notice(number)), partial(staff.close, number)) for number in numbers]

    results = at_once(*(job for pair in jobs for job in pair))

    closed = results[1::2]
    for moved, about in zip(closed, staff.report(*numbers), strict=True):
        assert about["status"] == "paid"
        assert about["effects"] == ({"alarm order_closed": 1} if moved else FULFILLED)
        assert about["discrepancies"] == ({"order_closed": True} if moved else {})


def test_two_payments_of_one_reference_at_once_are_confirmed_once(wechat, staff):
    pairs = [(staff.number("ships"), staff.number("ships")) for _ in range(5)]
    for pair in pairs:
        staff.expect(*pair, reference=pair[0])
    notices = [Notice(number) for pair in pairs for number in pair]

    at_once(*(partial(wechat.insist, notice) for notice in notices * 2))

    found = staff.report(*(notice.number for notice in notices))
    assert [about["status"] for about in found] == ["paid"] * 10
    for pair in zip(found[::2], found[1::2], strict=True):
        effects = sorted((about["effects"] for about in pair), key=len)
        assert effects == [{"alarm already_paid": 1}, FULFILLED]


def test_one_transaction_for_two_orders_at_once_confirms_one(wechat, staff):
    pairs = [(staff.order("ships"), staff.order("ships")) for _ in range(5)]
    notices = []
    for one, other in pairs:
        first = Notice(one)
        notices += [first, Notice(other, transaction=first.transaction)]

    at_once(*(partial(wechat.send, notice) for notice in notices * 2))
    answers = [wechat.send(notice).status for notice in notices]

    found = staff.report(*(notice.number for notice in notices))
    for statuses, pair in zip(
        zip(answers[::2], answers[1::2], strict=True), zip(found[::2], found[1::2], strict=True), strict=True
    ):
        (_, loser), (_, winner) = sorted(zip(statuses, pair, strict=True), key=lambda one: -one[0])
        assert sorted(statuses) == [200, 409]
        assert (winner["status"], winner["effects"]) == ("paid", FULFILLED)
        assert (loser["status"], loser["effects"]) == ("pending", {"alarm conflict": 1})
        assert loser["discrepancies"] == {"conflict": True}


def test_pruning_beside_traffic_loses_and_repeats_nothing(wechat, staff):
    old = [Notice(staff.number("ships"), KINDS[number % 3]) for number in range(20)]
    failing, unpaid = Notice(staff.number("fails"), "MD5"), Notice(staff.number("unpaid"))
    new = [Notice(staff.number("ships"), KINDS[number % 3]) for number in range(20)]
    numbers = [notice.number for notice in [*old, *new, failing]]
    staff.expect(*numbers)
    at_once(*(partial(wechat.insist, notice) for notice in old))
    wechat.send(failing)
    wechat.send(unpaid)
    staff.age()

    said, *_ = at_once(staff.prune, *(partial(wechat.insist, notice) for notice in [*old, *new * 4, failing]))
    said += staff.prune()

    assert "deleted" in said
    found = staff.report(*numbers, unpaid.number)
    assert [about["effects"] for about in found[:-1]] == [FULFILLED] * 41
    assert [about["deliveries"] for about in found[:-1]] == [{"done": 2}] * 41
    assert [set(about["outcomes"]) for about in found[:20]] == [{"duplicate"}] * 20
    assert found[-1]["discrepancies"] == {"unknown_order": True}
    assert found[-1]["outcomes"] == {"unknown_order": 1}


def test_combined_orders_that_list_their_parts_in_reverse_confirm_each_once(wechat, staff):
    notices = []
    for _ in range(3):
        combined, parts = staff.number("combined"), tuple(Notice(staff.number("ships")) for _ in range(8))
        notices += [Notice(combined, parts=parts), Notice(combined, parts=parts[::-1])]
        staff.expect(*(part.number for part in parts))

    at_once(*(partial(wechat.insist, notice) for notice in notices * 4))

    numbers = [part.number for notice in notices[::2] for part in notice.parts]
    found = staff.report(*numbers, *(notice.number for notice in notices[::2]))
    assert [about["status"] for about in found[:24]] == ["paid"] * 24
    assert [about["effects"] for about in found[:24]] == [FULFILLED] * 24
    assert [about["deliveries"] for about in found[:24]] == [{"done": 2}] * 24
    outcomes = total(about["outcomes"] for about in found)
    assert outcomes["confirmed"] + outcomes["duplicate"] == 24, "every success has its row"


def test_a_worker_killed_inside_a_receiver_loses_and_doubles_nothing(wechat, staff):
    number = staff.order("dies")
    answers = wechat.insist(Notice(number))
    assert answers[0].status == 0, "the connection was to break"
    (about,) = staff.report(number)
    assert about["effects"] == FULFILLED
    assert about["calls"] == {"ship": 2, "invoice": 1}


def test_an_order_recorded_after_its_first_notification_heals(wechat, staff):
    late, *meanwhile = [Notice(staff.number("ships")) for _ in range(6)]
    assert [answer.status for answer in at_once(*[partial(wechat.send, late)] * 4)] == [409] * 4
    staff.expect(late.number)

    at_once(
        partial(wechat.insist, late),
        *(partial(wechat.insist, notice) for notice in meanwhile * 3),
        *(partial(staff.expect, notice.number) for notice in meanwhile),
    )

    about, *others = staff.report(late.number, *(notice.number for notice in meanwhile))
    assert about["discrepancies"] == {"unknown_order": False}
    for one in [about, *others]:
        assert one["effects"] == FULFILLED
        assert one["deliveries"] == {"done": 2}
        assert not any(one["discrepancies"].values()), "nothing is left open"


@pytest.mark.parametrize("plan", ["crosses", "swallows"])
def test_receivers_that_deadlock_heal(shop, wechat, staff, plan):
    number = int(staff.number(plan).partition("-")[2])
    staff.shelves(number)
    numbers = [f"{plan}-{number}-a", f"{plan}-{number}-b"]
    staff.expect(*numbers)

    at_once(*(partial(wechat.insist, Notice(one)) for one in numbers))

    found = staff.report(*numbers)
    assert [about["effects"] for about in found] == [FULFILLED] * 2
    calls = total(about["calls"] for about in found)["ship"]
    assert calls > 2 if shop.configuration.has_row_locks else calls == 2


def test_noting_a_failure_does_not_wait_for_the_next_try(shop, wechat, staff):
    number = staff.order("prints")
    notice = Notice(number)
    with ThreadPoolExecutor(2) as pool:
        failed = pool.submit(wechat.send, notice)
        staff.wait_for_call(number)
        time.sleep(NOTE_SECONDS / 4)  # the receiver's transaction is over by now, its failure is being logged
        again = pool.submit(wechat.insist, notice)
        staff.wait_for_call(number, call=2)
        if shop.configuration.has_row_locks:
            assert failed.result().status == 503
            assert not again.done(), "the answer was to come while the second call was at work"
        staff.open_gate(number)
    (about,) = staff.report(number)
    assert about["effects"] == FULFILLED
    assert about["calls"] == {"ship": 2, "invoice": 1}


def test_simultaneous_copies_of_a_second_payment_alarm_once(wechat, staff):
    numbers = [staff.order("ships") for _ in range(3)]
    at_once(*(partial(wechat.insist, Notice(number)) for number in numbers))
    second = [Notice(number, kind) for number, kind in zip(numbers, KINDS, strict=True)]

    at_once(*(partial(wechat.insist, notice) for notice in second * 8))

    found = staff.report(*numbers)
    assert [about["effects"] for about in found] == [FULFILLED | {"alarm already_paid": 1}] * 3
    assert [about["discrepancies"] for about in found] == [{"already_paid": True}] * 3


def test_confirming_does_not_wait_for_the_receiver_of_its_own_discrepancy(shop, wechat, staff):
    number = staff.number("disputed")
    staff.expect(number, amount=AMOUNT + 1)
    notice = Notice(number)
    with ThreadPoolExecutor(1) as pool:
        refused = pool.submit(wechat.send, notice)
        staff.wait_for_call(number, "alarm")
        if not shop.configuration.has_row_locks:
            staff.open_gate(number)
        staff.amend(number, AMOUNT)
        wechat.insist(notice)
        if shop.configuration.has_row_locks:
            assert not refused.done(), "the alarm was to be at work still"
        staff.open_gate(number)
    assert refused.result().status == 409
    (about,) = staff.report(number)
    assert about["status"] == "paid"
    assert about["effects"] == FULFILLED | {"alarm amount_mismatch": 1}


def test_processing_again_beside_retries_tells_once(wechat, staff):
    notices = [Notice(staff.number("ships"), KINDS[number % 3]) for number in range(6)]
    numbers = [notice.number for notice in notices]
    assert {answer.status for answer in at_once(*(partial(wechat.send, notice) for notice in notices))} <= {200, 409}
    staff.expect(*numbers)

    at_once(
        *(partial(wechat.insist, notice) for notice in notices * 2),
        *(partial(staff.replay, number) for number in numbers * 2),
    )

    found = staff.report(*numbers)
    assert [about["effects"] for about in found] == [FULFILLED] * 6
    assert [about["deliveries"] for about in found] == [{"done": 2}] * 6
    assert [about["discrepancies"] for about in found] == [{"unknown_order": False}] * 6
    assert {staff.replay(number) for number in numbers} == {"duplicate"}


def test_delivering_again_beside_a_worker_and_retries_runs_each_receiver_once(wechat, staff):
    notices = [Notice(staff.order("fails")) for _ in range(3)]
    numbers = [notice.number for notice in notices]
    assert [answer.status for answer in at_once(*(partial(wechat.send, notice) for notice in notices))] == [503] * 3
    staff.hurry()

    at_once(
        *(partial(staff.deliver_again, number) for number in numbers * 2),
        *[staff.work] * 3,
        *(partial(wechat.insist, notice) for notice in notices),
    )

    found = staff.report(*numbers)
    assert [about["effects"] for about in found] == [FULFILLED] * 3
    assert [about["deliveries"] for about in found] == [{"done": 2}] * 3


def test_forcing_at_once_runs_each_receiver_as_often_as_it_is_said(wechat, staff):
    notice = Notice(staff.order("ships"))
    wechat.insist(notice)

    said = total(at_once(*[partial(staff.deliver_again, notice.number, force=True)] * 6))

    (about,) = staff.report(notice.number)
    assert about["deliveries"] == {"done": 2}
    assert sum(about["effects"].values()) == 2 + said["done"]
    assert said["done"] >= 2
