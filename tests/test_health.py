"""Health: the strip and the view for monitoring say what was really posted, at little cost, and nothing secret."""

import json
import re
from datetime import UTC, date, datetime, timedelta

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection, connections
from django.db.utils import OperationalError
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from tests.certificates import SERIAL, certificate
from tests.settings import PLATFORM
from tests.test_admin import NOTIFY, fill, refund, text_of, url, viewer  # noqa: F401 (viewer is a fixture)
from wechatpay_notify.conf import build_merchant
from wechatpay_notify.delivery import receivers
from wechatpay_notify.health import days, verdict
from wechatpay_notify.health.chart import HEIGHT, WIDTH, draw
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES
from wechatpay_notify.testing import OPENID

pytestmark = pytest.mark.django_db

URL = "/wechatpay/health/"
TOKEN = "a-token-of-a-monitor-0123456789"
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=timezone.get_default_timezone())
STATEMENTS = 7
"""Of one measurement, whatever the number of rows."""


@pytest.fixture
def clock():
    """The clock stands at noon of the site's zone until a test moves it."""
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def token(settings):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"HEALTH_TOKEN": TOKEN}


def ask(client, token=TOKEN):
    return client.get(URL, headers={"Authorization": f"Bearer {token}"})


def health(client):
    return ask(client).json()


def reasons(client):
    return [reason["code"] for reason in health(client)["reasons"]]


def pay(client, number, amount=100, **fields):
    Order.objects.expect(out_trade_no=number, amount=amount, mchid=PLATFORM.mchid)
    signed = PLATFORM.payment_v3(number, amount, **fields)
    signed.post(client, NOTIFY)
    return signed


def strip_of(client):
    """The strip over the list of notifications as it is read, or nothing."""
    html = client.get(url(NotificationLog, "changelist")).content.decode()
    found = re.search(r'<section class="wechatpay-strip".*?</section>', html, re.DOTALL)
    return found[0] if found else ""


def log_in(client):
    """Again, because the session ended when the clock was moved."""
    client.force_login(get_user_model().objects.get(is_superuser=True))


def _due():
    return SignalDelivery.objects.filter(status="pending", next_attempt_at__lte=timezone.now()).count()


# Who may ask


def test_a_stranger_is_told_nothing(client, token):
    for response in (client.get(URL), ask(client, "wrong"), ask(client, TOKEN[:-1]), ask(client, "é" * 20)):
        assert (response.status_code, response.json()) == (401, {"status": "unauthorized"})
        assert response["WWW-Authenticate"] == "Bearer"
        assert response["Cache-Control"] == "no-store"


@pytest.mark.parametrize("given", [None, "", "short", "x" * 15, 5, b"x" * 20, "ключ" * 8, "two words of a token"])
def test_a_token_that_must_not_be_used_lets_nobody_in(client, settings, given):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"HEALTH_TOKEN": given}
    assert ask(client, given).status_code == 401
    assert ask(client, "").status_code == 401


def test_the_bearer_of_the_token_is_answered_and_nothing_is_kept(client, token):
    for scheme in ("Bearer", "bearer"):
        response = client.get(URL, headers={"Authorization": f"{scheme} {TOKEN}"})
        assert (response.status_code, response.json()["status"]) == (200, "ok")
        assert response["Cache-Control"] == "no-store"
        assert not response.cookies
    assert client.get(URL, headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401


def test_staff_needs_the_permission_to_view_notifications(viewer):  # noqa: F811
    assert viewer(NotificationLog).get(URL).status_code == 200


@pytest.mark.parametrize("is_staff", [True, False])
def test_others_who_are_logged_in_are_refused(client, django_user_model, is_staff):
    user = django_user_model.objects.create_user("somebody", is_staff=is_staff)
    if not is_staff:
        user.user_permissions.set(Permission.objects.filter(codename="view_notificationlog"))
    client.force_login(user)
    response = client.get(URL)
    assert (response.status_code, response.json()) == (403, {"status": "forbidden"})


def test_a_monitor_is_not_sent_to_a_login_form(client, settings, token):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.contrib.auth.middleware.LoginRequiredMiddleware"]
    assert ask(client).status_code == 200
    assert client.get(URL).status_code == 401


@pytest.mark.parametrize("method", ["post", "put", "delete", "options"])
def test_it_can_only_be_read(client, token, method):
    assert getattr(client, method)(URL, headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 405


# What it says


def test_the_figures_are_what_was_posted(client, shipped, unexpected, token, clock):
    fill(client, shipped)
    clock.shift(180)
    said = health(client)
    rows = list(NotificationLog.objects.all())
    counted = dict.fromkeys({row.outcome for row in rows}, 0)
    for row in rows:
        counted[row.outcome] += 1
    today = said["today"]
    listed = {"confirmed": today["confirmed"]} | today["acknowledged"] | today["refused"] | today["failed"]
    assert listed | today["apart"] == {code or "unanswered": number for code, number in counted.items()}
    assert today["date"] == "2026-11-22"
    assert not today["capped"]
    assert (said["last_genuine_seconds"], said["last_genuine_at"]) == (180, "2026-11-22T04:00:00+00:00")
    assert said["answers"]["timed"] == sum(row.verified and row.duration_ms is not None for row in rows)
    assert said["deliveries"]["due"] == _due()
    assert said["open_discrepancies"] == Discrepancy.objects.filter(resolved_at=None).count() > 1
    assert said["abnormal_refunds"] == 1
    assert said["unproven_this_minute"] == 0
    assert said["status"] == "attention"
    assert ask(client).status_code == 503


def test_every_outcome_is_counted_in_one_place():
    listed = [*days.CONFIRMED, *days.ACKNOWLEDGED, *days.REFUSED, *days.FAILED, *days.APART]
    assert sorted(listed) == sorted([*OUTCOMES, days.UNANSWERED])


def test_probes_count_apart_and_in_no_ratio(client, shipped, token):
    pay(client, "A-1").probe().post(client, NOTIFY)
    today = health(client)["today"]
    assert today["apart"] == {"probe": 1}
    assert (today["confirmed"], today["refused"]) == (1, {})
    assert days.today(timezone.now()).total == 1


def test_a_day_begins_at_midnight_of_the_sites_zone(client, shipped, token, clock):
    clock.move_to(datetime(2026, 11, 22, 15, 59, tzinfo=UTC))
    pay(client, "A-1")
    assert health(client)["today"]["confirmed"] == 1
    clock.shift(60)
    pay(client, "A-2")
    today = health(client)["today"]
    assert (today["date"], today["confirmed"]) == ("2026-11-23", 1)


def test_what_was_processed_again_by_hand_is_not_of_wechats_sending(client, shipped, token, clock):
    pay(client, "A-1")
    clock.shift(3600)
    again = NotificationLog.objects.get()
    again.pk, again.replay_of, again.received_at, again.duration_ms = None, again.pk, timezone.now(), 9000
    again.save(force_insert=True)
    said = health(client)
    assert said["last_genuine_seconds"] == 3600
    assert said["answers"]["timed"] == 1
    assert "slow" not in reasons(client)


def test_answers_are_timed_at_the_slowest_of_95_percent(client, shipped, token):
    signed = pay(client, "A-1")
    for _ in range(19):
        signed.post(client, NOTIFY)
    for number, row in enumerate(NotificationLog.objects.order_by("pk"), 1):
        NotificationLog.objects.filter(pk=row.pk).update(duration_ms=number * 100)
    assert health(client)["answers"] == {"p95_ms": 1900, "timed": 20}


def test_what_was_slow_days_ago_is_no_news(client, shipped, token, clock):
    pay(client, "A-1")
    NotificationLog.objects.update(duration_ms=4500)
    assert reasons(client) == ["slow"]
    clock.shift(timedelta(days=1))
    assert health(client)["answers"] == {"p95_ms": None, "timed": 0}
    assert reasons(client) == []


def test_a_flood_is_seen_although_it_is_not_stored(client, shipped, settings, token, admin_client):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"REJECTED_LOG_PER_MINUTE": 2}
    forged = PLATFORM.stranger().payment_v3("A-1", 1)
    with time_machine.travel(NOON, tick=False):
        for _ in range(5):
            forged.post(client, NOTIFY)
        said = health(client)
        assert (said["unproven_this_minute"], said["not_stored_this_minute"]) == (5, 3)
        assert sum(said["today"]["refused"].values()) == 2
        assert "Flood: 5 this minute, 3 not stored" in text_of(strip_of(admin_client))


# Keys


def test_the_keys_in_use_are_named_by_their_serials(client, shipped, settings, token, clock, admin_client):
    keys = {PLATFORM.serial: PLATFORM.public_pem(), SERIAL: certificate(PLATFORM.private_key, valid_until=27)}
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {
        "MERCHANTS": {"default": PLATFORM.merchant(PLATFORM_KEYS=keys)}
    }
    pay(client, "A-1")
    clock.shift(180)
    (merchant,) = health(client)["merchants"]
    by_serial = {key["serial"].zfill(40): key for key in merchant["platform_keys"]}
    used, unused = by_serial[PLATFORM.serial.zfill(40)], by_serial[SERIAL]
    assert (used["used_at"], used["days_left"]) == ("2026-11-22T04:00:00+00:00", None)
    assert unused["used_at"] is None
    assert merchant["alias"] == "default"
    assert (merchant["api_v3_keys"], merchant["api_v2_keys"], merchant["v2_used_at"]) == (1, 1, None)
    text = text_of(strip_of(admin_client))
    assert "used 3 minutes ago" in text.replace("\xa0", " ")
    assert "not among the newest 500" in text
    PLATFORM.payment_v2("A-1", 100).post(client, NOTIFY)
    assert health(client)["merchants"][0]["v2_used_at"] == "2026-11-22T04:03:00+00:00"


@pytest.mark.parametrize(
    ("left", "found"), [(8.5, []), (6.5, ["key_expires"]), (0.5, ["key_expires"]), (-0.5, ["key_expired"])]
)
def test_a_certificate_that_ends_is_told_in_time(client, settings, token, left, found):
    merchant = PLATFORM.merchant(PLATFORM_KEYS={SERIAL: certificate(PLATFORM.private_key, valid_until=left)})
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"MERCHANTS": {"default": merchant}}
    assert reasons(client) == found


def test_an_expired_certificate_beside_a_key_that_lasts_is_no_alarm(client, settings, token):
    keys = {PLATFORM.serial: PLATFORM.public_pem(), SERIAL: certificate(PLATFORM.private_key, valid_until=-1)}
    merchant = PLATFORM.merchant(PLATFORM_KEYS=keys)
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"MERCHANTS": {"default": merchant}}
    assert reasons(client) == []


def test_a_fault_is_named_by_its_setting_alone(client, settings, token, admin_client):
    merchant = PLATFORM.merchant(API_V2_KEY="secret-of-17-char", PLATFORM_KEYS={"secret-name": "secret-pem"})
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"MERCHANTS": {"default": merchant}}
    assert reasons(client) == ["faults"]
    assert health(client)["merchants"][0]["faults"] == ["API_V2_KEY", "PLATFORM_KEYS"]
    assert "secret" not in ask(client).content.decode() + strip_of(admin_client)


def provider(alias):
    if alias == "broken":
        raise RuntimeError(f"the vault is shut: {PLATFORM.api_v3_key}")
    return build_merchant(alias, **PLATFORM.merchant()) if alias in ("default", "second") else None


def test_of_a_providers_merchants_those_are_shown_that_were_seen(client, shipped, settings, token, admin_client):
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"MERCHANTS": provider}
    assert health(client)["merchants"] == []
    pay(client, "A-1")
    assert [merchant["alias"] for merchant in health(client)["merchants"]] == ["default"]
    NotificationLog.objects.update(merchant="broken")
    assert reasons(client) == ["provider_failed"]
    assert "your provider of merchants raised" in strip_of(admin_client)
    assert PLATFORM.api_v3_key not in ask(client).content.decode() + strip_of(admin_client)
    NotificationLog.objects.update(merchant="gone")
    assert health(client)["merchants"] == []


# The verdict


def test_a_shop_that_sleeps_is_healthy(client, shipped, token, clock):
    pay(client, "A-1")
    clock.shift(timedelta(days=30))
    assert health(client)["status"] == "ok"


def test_every_reason_can_be_found(client, shipped, settings, token, clock):
    """Each alone, made to happen; together they are the table of rules."""
    found = set()

    def expect(*codes):
        assert reasons(client) == list(codes)
        assert all(reason["text"] for reason in health(client)["reasons"])
        found.update(codes)

    expect()
    shipped.failures = [RuntimeError("no paper")] * 4
    signed = pay(client, "A-1")
    signed.post(client, NOTIFY)
    expect()
    signed.post(client, NOTIFY)
    expect("failed")
    SignalDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(minutes=16))
    expect("failed", "overdue")
    SignalDelivery.objects.update(status="gave_up")
    expect("failed", "gave_up")
    clock.shift(timedelta(days=1))
    expect("gave_up")
    SignalDelivery.objects.update(status="done")
    PLATFORM.payment_v3("NOBODY", 5).post(client, NOTIFY)
    expect("discrepancies")
    listed = {"default": PLATFORM.merchant(API_V3_KEY="short")}
    settings.WECHATPAY_NOTIFY = settings.WECHATPAY_NOTIFY | {"MERCHANTS": listed}
    PLATFORM.payment_v3("NOBODY", 5).post(client, NOTIFY)
    expect("misconfigured", "faults", "discrepancies")
    others = {"slow", "provider_failed", "key_expired", "key_expires", "abnormal_refunds"}  # each has a test above
    assert found | others == set(verdict.RULES)


def test_an_abnormal_refund_needs_somebody(client, shipped, token):
    pay(client, "A-1", 900, transaction_id="4200000000202611220000000006")
    refund("R-1", 300, "ABNORMAL", order="A-1").post(client, NOTIFY)
    assert reasons(client) == ["abnormal_refunds"]


def test_what_a_person_gave_up_is_no_alarm(client, shipped, token):
    shipped.failures = [RuntimeError("no paper")]
    pay(client, "A-1")
    receivers.close("shop.ship", "points were dropped")
    assert SignalDelivery.objects.get().status == "gave_up"
    assert health(client)["deliveries"]["gave_up"] == 0


def test_a_database_that_is_down_is_unavailable_and_not_an_error(client, token, monkeypatch):
    def down(*args, **kwargs):
        raise OperationalError("could not connect to server db.internal")

    database = connections["default"]
    monkeypatch.setattr(database, "cursor", down)
    monkeypatch.setitem(database.settings_dict, "ATOMIC_REQUESTS", True)
    response = ask(client)
    assert (response.status_code, response.json()) == (503, {"status": "unavailable"})
    assert response["Cache-Control"] == "no-store"
    stranger = Client(headers={"Cookie": "sessionid=" + "a" * 32})
    assert (stranger.get(URL).status_code, stranger.get(URL).json()) == (503, {"status": "unavailable"})
    assert Client().get(URL).status_code == 401


def test_a_cache_that_is_down_costs_no_answer(client, shipped, token, admin_client, monkeypatch):
    def broken(*args, **kwargs):
        raise ConnectionError("redis is down")

    pay(client, "A-1")
    for name in ("get", "get_many", "set_many"):
        monkeypatch.setattr(LocMemCache, name, broken)
    said = health(client)
    assert (said["status"], said["unproven_this_minute"], said["not_stored_this_minute"]) == ("ok", None, None)
    assert "1 confirmed" in text_of(strip_of(admin_client))


def test_nothing_personal_and_nothing_secret_is_said(client, shipped, unexpected, token, admin_client):
    fill(client, shipped)
    answer = ask(client).content.decode()
    strip = strip_of(admin_client)
    private = [PLATFORM.api_v3_key, PLATFORM.api_v2_key, PLATFORM.public_pem().splitlines()[1], OPENID, TOKEN]
    assert [secret for secret in private if secret in answer + strip] == []
    numbers = NotificationLog.objects.exclude(out_trade_no="").values_list("out_trade_no", "transaction_id")
    assert [number for row in numbers for number in row if number and number in answer] == []


# The strip


def test_the_strip_is_for_those_who_may_view_notifications(client, shipped, viewer):  # noqa: F811
    pay(client, "A-1")
    strip = strip_of(viewer(NotificationLog))
    assert "All is well" in strip
    assert "A-1" in strip
    assert url(SignalDelivery, "changelist") not in strip


def test_no_strip_stands_over_another_list(client, shipped, viewer):  # noqa: F811
    response = viewer(Order, NotificationLog).get(url(Order, "changelist"))
    assert response.status_code == 200
    assert "wechatpay-strip" not in response.content.decode()


def test_the_strip_says_what_the_view_for_monitoring_says(client, shipped, unexpected, token, clock, admin_client):
    fill(client, shipped)
    clock.shift(180)
    said, text = health(client), text_of(strip_of(admin_client)).replace("\xa0", " ")
    assert "Somebody has to look" in text
    for reason in said["reasons"]:
        assert reason["text"] in text
    today = said["today"]
    assert f"{today['confirmed']} confirmed" in text
    assert f"{sum(today['refused'].values())} refused" in text
    assert "Last genuine notification 3 minutes ago" in text
    for code, count in (today["refused"] | today["failed"] | today["apart"]).items():
        assert f"{code}: {count}" in text


def test_hostile_text_stays_text(client, shipped, admin_client):
    pay(client, "A-1")
    NotificationLog.objects.update(event_type="<script>alert(1)</script>\u202e")
    strip = strip_of(admin_client)
    assert "<script>" not in strip
    assert "\u202e" not in strip


# The chart


def chart_of(client):
    """The table of the chart, day by day, and what it drew."""
    strip = strip_of(client)
    rows = re.findall(r'<th scope="row">(.*?)</th>((?:<td>.*?</td>)+)', strip)
    bars = re.findall(r'<rect class="wechatpay-bar-(\w+)" x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"/>', strip)
    table = {day: [int(number) for number in re.findall(r"<td>(\d+)</td>", cells)] for day, cells in rows}
    return table, [(group, *map(int, numbers)) for group, *numbers in bars]


def test_the_chart_shows_each_day_as_it_was_posted(client, shipped, token, clock, admin_client):
    for number, back in enumerate((13, 3, 3, 0)):
        clock.move_to(NOON - timedelta(days=back))
        signed = pay(client, f"A-{number}")
    signed.post(client, NOTIFY)
    signed.with_body(b"{}").post(client, NOTIFY)
    shipped.failures = [RuntimeError("no paper")]
    pay(client, "A-9")
    log_in(admin_client)
    table, bars = chart_of(admin_client)
    assert list(table) == [(date(2026, 11, 9) + timedelta(days=number)).strftime("%m-%d") for number in range(14)]
    assert {day: counts for day, counts in table.items() if any(counts)} == {
        "11-09": [1, 0, 0, 0],
        "11-19": [2, 0, 0, 0],
        "11-22": [1, 1, 1, 1],
    }
    today = health(client)["today"]
    assert [today["confirmed"], *(sum(today[name].values()) for name in ("acknowledged", "refused", "failed"))] == [
        1
    ] * 4
    assert [group for group, *_ in bars] == ["confirmed"] * 3 + ["acknowledged", "refused", "failed"]
    assert [height for *_, height in bars] == [100, 200, 100, 100, 100, 100]
    assert all(x + width <= WIDTH and 0 <= y <= HEIGHT - height for _, x, y, width, height in bars)


def test_a_single_failure_among_thousands_is_seen():
    chart = draw([days.Day(date(2026, 11, 22), {"confirmed": 40_000, "error": 1})])
    heights = {bar.group: bar.height for bar in chart.bars}
    assert heights["failed"] >= 4
    assert sum(heights.values()) == HEIGHT


def test_an_empty_log_has_a_chart_without_columns(admin_client):
    table, bars = chart_of(admin_client)
    assert bars == []
    assert len(table) == 14
    assert "none yet" in strip_of(admin_client)


def test_the_chart_is_read_aloud_and_has_no_inline_style(client, shipped, admin_client):
    pay(client, "A-1")
    strip = strip_of(admin_client)
    assert 'role="img"' in strip
    assert re.search(r"<title id=.*?</title>\s*<desc id=", strip, re.DOTALL)
    assert "style=" not in strip
    assert "<script" not in strip


# What it costs


def test_a_measurement_takes_as_many_statements_for_many_rows_as_for_few(
    client, shipped, token, django_assert_num_queries
):
    for number in range(12):
        pay(client, f"A-{number}")
        with django_assert_num_queries(STATEMENTS):
            health(client)


def test_a_day_that_is_over_is_counted_once(client, shipped, clock, admin_client):
    clock.move_to(NOON - timedelta(days=1))
    pay(client, "A-1")
    clock.move_to(NOON)
    log_in(admin_client)

    def counted():
        with CaptureQueriesContext(connection) as captured:
            strip_of(admin_client)
        return sum("counted" in query["sql"] for query in captured)

    assert [counted(), counted()] == [14, 1]
    NotificationLog.objects.all().delete()  # pruned
    assert chart_of(admin_client)[0]["11-21"] == [1, 0, 0, 0]
    clock.shift(timedelta(days=1))
    log_in(admin_client)
    assert [counted(), counted()] == [2, 1]


def test_a_day_is_not_kept_while_its_last_answers_may_be_outstanding(client, shipped, clock, admin_client):
    clock.move_to(datetime(2026, 11, 21, 23, 59, 59, tzinfo=NOON.tzinfo))
    pay(client, "A-1")
    NotificationLog.objects.update(outcome="", http_status=None)
    clock.shift(2)
    log_in(admin_client)
    assert chart_of(admin_client)[0]["11-21"] == [0, 0, 0, 0]
    NotificationLog.objects.update(outcome="confirmed", http_status=200)
    assert chart_of(admin_client)[0]["11-21"] == [1, 0, 0, 0]


def test_a_cache_of_another_zone_or_with_junk_is_not_believed(client, shipped, clock, settings, admin_client):
    clock.move_to(NOON - timedelta(days=1))
    pay(client, "A-1")
    clock.move_to(NOON)
    log_in(admin_client)
    chart_of(admin_client)
    settings.TIME_ZONE = "Pacific/Kiritimati"
    assert chart_of(admin_client)[0]["11-21"] == [1, 0, 0, 0]
    settings.TIME_ZONE = "Asia/Shanghai"
    cache.set(days._key(date(2026, 11, 21)), "junk")
    assert chart_of(admin_client)[0]["11-21"] == [1, 0, 0, 0]


def test_no_more_is_counted_than_the_cap(client, shipped, token, admin_client, monkeypatch):
    monkeypatch.setattr(days, "CAP", 3)
    signed = pay(client, "A-1")
    for _ in range(5):
        signed.post(client, NOTIFY)
    today = health(client)["today"]
    assert (today["acknowledged"], today["capped"]) == ({"duplicate": 3}, True)
    assert "3+ otherwise acknowledged" in strip_of(admin_client)


def test_the_answer_is_json_that_a_shell_can_read(client, token):
    assert json.loads(ask(client).content)["status"] == "ok"
    assert reverse("wechatpay_notify_health:health") == URL


def test_a_host_without_zones_is_answered_too(client, shipped, token, settings):
    settings.USE_TZ = False
    pay(client, "A-1")
    said = health(client)
    assert (said["status"], said["today"]["confirmed"], said["last_genuine_seconds"]) == ("ok", 1, 0)


def test_what_is_due_leads_to_the_deliveries_that_are_pending(admin_client, client, deferred, shipped):
    pending = f"{reverse('admin:wechatpay_notify_signaldelivery_changelist')}?status__exact=pending"
    assert pending not in strip_of(admin_client)
    pay(client, "SHOP-1")
    assert f'<a href="{pending}">1 due</a>' in strip_of(admin_client)


def test_one_is_told_as_one(admin_client, client, shipped, unexpected):
    PLATFORM.payment_v3("NONE", 5).post(client, NOTIFY)
    Discrepancy.objects.update(first_seen=timezone.now() - timedelta(hours=1))
    assert ">1 open discrepancy<" in strip_of(admin_client)
    assert ">0 abnormal refunds<" in strip_of(admin_client)
