"""Orders: what may be written, by whom, and that a stale instance never undoes a fact."""

import copy
from functools import partial

import pytest

from tests.settings import PLATFORM
from wechatpay_notify.models import Order, OrderMismatch
from wechatpay_notify.protocol.results import payment_from_v3

pytestmark = pytest.mark.django_db

expect = partial(Order.objects.expect, out_trade_no="A-1", amount=100)


def payment(number="A-1", amount=100, **fields):
    return payment_from_v3(PLATFORM.payment_resource(number, amount, **fields))


def test_expect_is_idempotent_and_takes_the_default_merchant():
    first, again = expect(reference="shop-1", description="tea"), expect()
    assert first == again
    assert (again.mchid, again.currency, again.status, again.reference) == (PLATFORM.mchid, "CNY", "pending", "shop-1")


@pytest.mark.parametrize("change", [{"amount": 101}, {"currency": "HKD"}])
def test_expect_refuses_another_amount_for_a_known_number(change):
    expect()
    with pytest.raises(OrderMismatch, match="new out_trade_no"):
        expect(**change)


@pytest.mark.parametrize(
    "wrong",
    [
        {"out_trade_no": ""},
        {"out_trade_no": "a b"},
        {"out_trade_no": "x" * 33},
        {"out_trade_no": "é"},
        {"out_trade_no": None},
        {"amount": 0},
        {"amount": -1},
        {"amount": 1.0},
        {"amount": "100"},
        {"amount": True},
        {"amount": None},
    ],
)
def test_expect_refuses_what_wechat_would_refuse(wrong):
    with pytest.raises(ValueError, match=r"out_trade_no|amount"):
        expect(**wrong)
    assert not Order.objects.exists()


@pytest.mark.parametrize("name", ["status", "transaction_id", "paid_at", "refunded_amount", "ammount"])
def test_expect_takes_no_fact_and_no_unknown_name(name):
    with pytest.raises(TypeError, match=name):
        expect(**{name: "paid"})
    assert not Order.objects.exists()


@pytest.mark.parametrize(
    ("name", "limit"),
    [("reference", 64), ("description", 255), ("appid", 32), ("sub_appid", 32), ("mchid", 32), ("sub_mchid", 32)],
)
def test_expect_refuses_what_a_column_does_not_hold(name, limit):
    with pytest.raises(ValueError, match=f"{name} has {limit + 1} characters, allowed are {limit}"):
        expect(**{name: "x" * (limit + 1)})
    assert getattr(expect(**{name: "x" * limit}), name) == "x" * limit


def test_order_numbers_differ_by_case():
    assert expect(out_trade_no="case1") != expect(out_trade_no="CASE1")


def test_a_payment_for_upper_case_leaves_lower_case_alone(client, shipped):
    expect(out_trade_no="case1")
    assert PLATFORM.payment_v3("CASE1", 100).post(client, "/wechatpay/notify/").status_code == 409
    assert Order.objects.get().status == "pending"


def test_a_plain_create_has_the_same_defaults():
    order = Order.objects.create(out_trade_no="A-1", amount=100)
    assert (order.mchid, order.currency, order.status) == (PLATFORM.mchid, "CNY", "pending")


def test_a_service_provider_must_give_the_sub_merchant(settings):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {"default": PLATFORM.merchant(SUB_MCHIDS=["1900000201"])}}
    with pytest.raises(ValueError, match="sub_mchid"):
        expect()
    assert expect(sub_mchid="1900000201").sub_mchid == "1900000201"


def test_an_order_without_any_merchant_is_refused(settings):
    settings.WECHATPAY_NOTIFY = {"MERCHANTS": {}}
    with pytest.raises(ValueError, match="mchid"):
        expect()
    assert expect(mchid="1900000109").mchid == "1900000109"


def test_settle_moves_once_and_says_so():
    order = expect()
    stale = copy.copy(order)
    assert Order.objects.settle(order, payment(transaction_id="42"), confirmed_by="bill") is True
    assert (order.status, order.transaction_id, order.confirmed_by) == ("paid", "42", "bill")
    assert Order.objects.settle(order, payment(transaction_id="43")) is False
    assert Order.objects.settle(stale, payment(transaction_id="43")) is False
    assert Order.objects.get().transaction_id == "42"


def test_settle_and_close_do_not_move_an_order_whose_amount_changed_meanwhile():
    order = expect()
    Order.objects.filter(pk=order.pk).update(amount=200)
    assert Order.objects.settle(order, payment()) is False
    assert Order.objects.close(order) is False
    assert Order.objects.get().status == "pending"


def test_a_paid_order_cannot_be_closed_and_a_closed_one_only_once():
    order = expect()
    stale = copy.copy(order)
    assert Order.objects.close(order) is True
    assert order.closed_at is not None
    assert Order.objects.close(stale) is False
    assert Order.objects.settle(order, payment()) is True
    assert Order.objects.close(order) is False
    assert Order.objects.get().status == "paid"


def test_the_second_order_of_a_reference_is_paid_without_settling_it():
    first, second = expect(reference="shop-1"), expect(out_trade_no="A-2", reference="shop-1")
    assert Order.objects.settle(first, payment(transaction_id="42"))
    assert Order.objects.settle(second, payment("A-2", transaction_id="43"))
    assert first.settled_reference == f"{PLATFORM.mchid}//shop-1"
    assert (second.status, second.settled_reference) == ("paid", None)


@pytest.mark.parametrize("update_fields", [None, ["status", "description", "transaction_id"]])
def test_saving_a_stale_instance_never_undoes_a_payment(update_fields):
    stale = expect()
    assert Order.objects.settle(Order.objects.get(), payment(transaction_id="42"))
    stale.description = "tea"
    stale.status = "pending"
    stale.save(update_fields=update_fields)
    order = Order.objects.get()
    assert (order.status, order.transaction_id, order.description) == ("paid", "42", "tea")
    assert order.paid_at is not None


def test_saving_cannot_make_an_order_paid():
    order = expect()
    order.status, order.transaction_id = "paid", "42"
    order.save()
    assert Order.objects.get().status == "pending"


def test_an_order_can_be_deleted_in_code():
    expect().delete()
    assert not Order.objects.exists()
