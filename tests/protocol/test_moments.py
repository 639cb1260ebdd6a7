"""Moments: WeChat's ways of writing one, and which attempt of its schedule a request is."""

from datetime import UTC, datetime, timedelta

import pytest

from wechatpay_notify.protocol import moments

TEN = datetime(2026, 11, 22, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-22T10:00:00+08:00", TEN),
        ("2026-11-22T02:00:00Z", TEN),
        ("2026-11-22T10:00:00", TEN),
        ("2026-11-22T10:00:00.120+08:00", TEN + timedelta(milliseconds=120)),
        ("2000-01-01T00:00:00+08:00", datetime(1999, 12, 31, 16, tzinfo=UTC)),
    ],
)
def test_rfc3339_is_read_as_beijing_time_unless_it_says_otherwise(text, moment):
    assert moments.rfc3339(text) == moment


UNREADABLE = [
    "",
    "x",
    "2026-13-01T00:00:00+08:00",
    "2026-02-30T00:00:00+08:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "1999-12-31T23:59:59+08:00",
    "2026-11-22T10:00:00+99:00",
    "\ud800",
    "９" * 19,
    "1" * 5000,
]


@pytest.mark.parametrize("text", UNREADABLE, ids=range(len(UNREADABLE)))
def test_an_unreadable_rfc3339_is_none(text):
    assert moments.rfc3339(text) is None


def test_v2_writes_beijing_time_without_a_zone():
    assert moments.beijing("20261122100000") == TEN
    assert moments.beijing("2026-11-22 10:00:00") == TEN


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "20260230100000",
        "２０２６１１２２１０００００",
        "00010101000000",
        "99991231235959",
        "20261122100061",
    ],
)
def test_an_unreadable_v2_moment_is_none(text):
    assert moments.beijing(text) is None


def test_the_schedule_is_16_attempts_in_24_hours_and_4_minutes():
    assert len(moments.RETRY_DELAYS) == 16
    assert timedelta(seconds=sum(moments.RETRY_DELAYS)) == timedelta(hours=24, minutes=4)


@pytest.mark.parametrize(
    ("seconds", "attempt"),
    [
        (-60, 1),
        (0, 1),
        (12, 1),
        (13, 2),
        (15, 2),
        (29, 3),
        (30, 3),
        (60, 4),
        (239, 5),
        (240, 5),
        (86_640, 16),
        (10**9, 16),
    ],
)
def test_the_attempt_is_told_from_the_time_since_the_first(seconds, attempt):
    assert moments.attempt(TEN, TEN.timestamp() + seconds) == attempt
