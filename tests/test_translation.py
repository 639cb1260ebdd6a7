"""The Chinese of the package: complete, in step with the sources, and what people really see in the admin."""

import gettext
import io
import re
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po
from django.apps import apps
from django.db.models import fields
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation.template import templatize

import wechatpay_notify
from tests.settings import PLATFORM
from tests.test_admin import MODELS, NOTIFY, PAID, SHORT, fill, listed, text_of, url
from wechatpay_notify.models import Discrepancy, NotificationLog, Order, SignalDelivery
from wechatpay_notify.outcomes import OUTCOMES, label

PACKAGE = Path(wechatpay_notify.__file__).parent
LOCALES = sorted(path.name for path in (PACKAGE / "locale").iterdir())
FUNCTIONS = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "gettext_noop"), (1,)),
    **dict.fromkeys(("ngettext", "ngettext_lazy"), (1, 2)),
    **dict.fromkeys(("pgettext", "pgettext_lazy"), ((1, "c"), 2)),
    **dict.fromkeys(("npgettext", "npgettext_lazy"), ((1, "c"), 2, 3)),
}
HAN = re.compile(r"[\u4e00-\u9fff]")
ENGLISH = re.compile(r"[A-Za-z']+(?: [a-z']+){2,}")
"""Three English words in a row."""
FAILURE = "the warehouse knows no"
"""How the error of a receiver begins in the filled admin."""
CHOOSE = str(getattr(fields, "BLANK_CHOICE_LABEL", "---------"))
"""Django's own in front of the actions, since 6.1."""
NAMES = {"AppID", "ID", "v2", "v3"}
"""Labels that are the same in Chinese."""


def catalogue(locale):
    """Context and text → translation; as many as there are plural forms, where there are some."""
    path = PACKAGE / "locale" / locale / "LC_MESSAGES" / "django.po"
    return {(message.context, _singular(message.id)): message for message in _read(path) if message.id}


def _read(path):
    with path.open("rb") as file:
        return read_po(file, abort_invalid=True)


def _singular(text):
    return text if isinstance(text, str) else text[0]


def _plural(text):
    return text if isinstance(text, str) else text[-1]


def _forms(message):
    return [message.string] if isinstance(message.string, str) else list(message.string)


def marked():
    """Context and text of whatever the sources mark for translation."""
    for path in PACKAGE.rglob("*.py"):
        if "migrations" not in path.parts:  # frozen: what a label was once
            yield from _marked(path.read_text(encoding="utf-8"))
    for path in PACKAGE.rglob("*.html"):
        source = templatize(path.read_text(encoding="utf-8"))
        yield from _marked(re.sub(r"(?m)^\s+", "", source))


def _marked(source):
    for _line, text, _comments, context in extract("python", io.BytesIO(source.encode()), keywords=FUNCTIONS):
        yield context, _singular(text)


# The catalogue


@pytest.mark.parametrize("locale", LOCALES)
def test_every_marked_text_is_in_the_catalogue_and_nothing_else(locale):
    assert set(marked()) == set(catalogue(locale))


@pytest.mark.parametrize("locale", LOCALES)
def test_every_message_is_translated_for_good(locale):
    unfinished = [key for key, message in catalogue(locale).items() if message.fuzzy or not all(_forms(message))]
    assert unfinished == []


@pytest.mark.parametrize("locale", LOCALES)
def test_no_translation_loses_or_invents_a_placeholder(locale):
    def placeholders(text):
        return sorted(re.findall(r"%\(\w+\)[a-z]|%%|\{\w*\}", text))

    for message in catalogue(locale).values():
        for form in _forms(message):
            assert placeholders(form) == placeholders(_plural(message.id))


@pytest.mark.parametrize("locale", LOCALES)
def test_no_translation_loses_a_name_of_code_or_of_a_setting(locale):
    def names(text):
        return set(re.findall(r"\b[A-Z][A-Z0-9]+_[A-Z0-9_]+\b|\b\w+\(\)|\bSHA-256\b", text))

    for message in catalogue(locale).values():
        for form in _forms(message):
            assert names(_plural(message.id)) <= names(form)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_compiled_catalogue_is_the_one_to_be_read(locale):
    with (PACKAGE / "locale" / locale / "LC_MESSAGES" / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)._catalog
    compiled.pop("")
    expected = {}
    for (context, text), message in catalogue(locale).items():
        key = f"{context}\x04{text}" if context else text
        plural = not isinstance(message.id, str)
        expected |= {(key, n) if plural else key: form for n, form in enumerate(_forms(message))}
    assert compiled == expected


def test_no_catalogue_of_django_speaks_in_our_place():
    """All apps share one catalogue, in which the first of INSTALLED_APPS wins."""
    with translation.override("zh-hans"):
        for (context, text), message in catalogue("zh_Hans").items():
            if isinstance(message.id, str):
                shown = translation.pgettext(context, text) if context else translation.gettext(text)
                assert (text, shown) == (text, message.string)


# What the app says


def test_every_outcome_has_a_name_and_a_hint_in_chinese():
    with translation.override("zh-hans"):
        for outcome in OUTCOMES.values():
            assert HAN.search(label(outcome.code))
            assert HAN.search(str(outcome.hint))
            assert not ENGLISH.search(str(outcome.hint))


def test_an_outcome_is_called_by_its_code_in_english():
    with translation.override("en"):
        assert [label(code) for code in OUTCOMES] == list(OUTCOMES)


def test_models_columns_choices_and_permissions_have_names_in_chinese():
    with translation.override("zh-hans"):
        config = apps.get_app_config("wechatpay_notify")
        names = [config.verbose_name]
        for model in config.get_models():
            meta = model._meta
            names += [meta.verbose_name, meta.verbose_name_plural, *(name for _code, name in meta.permissions)]
            names += [field.verbose_name for field in meta.concrete_fields]
            names += [name for field in meta.concrete_fields for _value, name in field.flatchoices]
        assert [name for name in map(str, names) if name not in NAMES and not HAN.search(name)] == []


# What a person sees


@pytest.fixture
def reader(admin_client):
    """A superuser whose browser asks for Chinese."""
    admin_client.defaults["HTTP_ACCEPT_LANGUAGE"] = "zh-CN,zh;q=0.9,en;q=0.8"
    return admin_client


@pytest.fixture
def filled(client, shipped, unexpected):
    fill(client, shipped)


def page_of(client, row):
    return client.get(url(type(row), "change", row.pk)).content.decode()


def content_of(html):
    """The page without Django's frame around it, whose Chinese is not whole in every version."""
    return html.split('id="content"', 1)[1]


def english_in(html):
    """English that a person reads on a page, but for what was stored of this case: details and receivers' errors."""
    text = text_of(re.sub(r"<(script|style|pre)\b.*?</\1>", " ", content_of(html), flags=re.DOTALL))
    details = filter(None, NotificationLog.objects.values_list("detail", flat=True))
    for stored in (*details, FAILURE, CHOOSE):
        text = text.replace(stored, " ")
    sources = [source for _context, source in catalogue("zh_Hans") if " " in source.strip() and source[:1].isalpha()]
    return ENGLISH.findall(text) + [source for source in sources if source in text]


def labels_in(html):
    """The names of fields, columns and panels, and the titles of groups of fields."""
    found = re.findall(
        r'<(label\b|th scope="col"|h2\b[^>]*fieldset-heading)[^>]*>(.*?)</(?:label|th|h2)>', html, re.DOTALL
    )
    return [text_of(label).strip(" :：") for _tag, label in found]


def unread(html):
    """Labels without a Chinese character, but for those that are names."""
    labels = labels_in(content_of(html))
    assert len(labels) > 5
    return [label for label in labels if label and not HAN.search(label) and label not in NAMES]


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS)
def test_a_chinese_reader_meets_no_english_sentence_or_label(reader, filled, model):
    lists = reader.get(url(model, "changelist")).content.decode()
    assert '<html lang="zh-hans"' in lists
    assert english_in(lists) == []
    for pk in listed(reader, model):
        html = page_of(reader, model.objects.get(pk=pk))
        assert english_in(html) == []
        assert unread(html) == []


@pytest.mark.django_db
@pytest.mark.parametrize("outcome", [*OUTCOMES, ""])
def test_a_chinese_reader_is_told_what_each_outcome_means(reader, outcome):
    status = OUTCOMES[outcome].status if outcome else None
    row = NotificationLog.objects.create(
        received_at=timezone.now(), api_version="v3", merchant="default", outcome=outcome, http_status=status, body=b""
    )
    html = page_of(reader, row)
    assert english_in(html) == []
    with translation.override("zh-hans"):
        assert (label(outcome) if outcome else translation.gettext("no answer")) in text_of(html)


@pytest.mark.django_db
@pytest.mark.parametrize("reason", Discrepancy.Reason)
def test_a_chinese_reader_is_told_what_to_do_about_each_discrepancy(reader, reason):
    row = Discrepancy.objects.create(
        merchant="default", out_trade_no=PAID, transaction_id="42", reason=reason, amount=1, currency="CNY"
    )
    html = page_of(reader, row)
    assert english_in(html) == []
    assert unread(html) == []


@pytest.mark.django_db
@pytest.mark.parametrize("language", ["zh-hans", "zh-CN", "zh", "zh-SG", "zh-Hans-CN"])
def test_each_way_to_ask_for_chinese_is_answered_in_it(admin_client, language):
    page = admin_client.get(reverse("admin:index"), headers={"Accept-Language": language}).content.decode()
    assert "微信支付通知" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("noted", "read"),
    [
        ("Not run: the whole payment was refunded before.", "未执行：这笔支付此前已全额退款。"),
        ("Not run: its payment was not reported, or not told, before.", "未执行：对应的支付尚未收到通知"),
        ("Not run: no receiver 'shop.x' is connected to payment_confirmed.", "没有连接名为 'shop.x' 的接收器"),
        ("Closed: points were dropped", "已关闭：points were dropped"),
        ("OSError: no\nThe process ended during the last attempt.", "上次执行途中进程终止。"),
    ],
)
def test_what_the_app_noted_with_a_delivery_is_read_in_chinese(reader, filled, noted, read):
    row = SignalDelivery.objects.filter(order__out_trade_no=PAID)[:1].get()
    SignalDelivery.objects.filter(pk=row.pk).update(status="gave_up", last_error=noted)
    for html in (page_of(reader, row), reader.get(url(SignalDelivery, "changelist")).content.decode()):
        assert read in text_of(html)
        assert noted.splitlines()[-1] not in text_of(html)


@pytest.mark.django_db
def test_why_a_discrepancy_resolved_itself_is_read_in_chinese(reader, filled):
    row = Discrepancy.objects.get(out_trade_no=SHORT)
    Order.objects.filter(out_trade_no=SHORT).update(amount=1)
    PLATFORM.payment_v3(SHORT, 1, transaction_id=row.transaction_id).post(reader, NOTIFY)
    text = text_of(page_of(reader, row))
    assert text.count("这笔支付之后已得到确认") == 2
    assert "confirmed later" not in text


@pytest.mark.django_db
@pytest.mark.parametrize(("zone", "shown"), [("Asia/Shanghai", "2026-11-23 00:30:00"), ("UTC", "2026-11-22 16:30:00")])
def test_times_are_shown_in_the_zone_of_the_site(reader, settings, zone, shown):
    settings.TIME_ZONE = zone
    row = NotificationLog.objects.create(
        received_at="2026-11-22T16:30:00Z", api_version="v3", merchant="default", outcome="probe", body=b""
    )
    assert shown in text_of(page_of(reader, row))
    assert shown in text_of(reader.get(url(NotificationLog, "changelist")).content.decode())


@pytest.mark.django_db
def test_no_link_leads_a_chinese_reader_to_english(reader, filled):
    """From the app's own index, each address once, and once more with each parameter that a link gives it."""
    home = reverse("admin:app_list", args=["wechatpay_notify"])
    waiting, seen = [home], set()
    while waiting:
        address = waiting.pop()
        parts = urlsplit(address)
        kind = (parts.path, frozenset(parse_qs(parts.query)))
        if kind in seen or not parts.path.startswith(home):
            continue
        seen.add(kind)
        response = reader.get(address)
        if response.headers.get("Content-Type", "").startswith("text/html") and response.status_code == 200:
            html = response.content.decode()
            if address != home:  # a page of Django's own, whose Chinese is not whole in every version
                assert (address, english_in(html)) == (address, [])
            waiting += [urljoin(address, unescape(link)) for link in re.findall(r'<a\b[^>]*href="([^"#]+)"', html)]
    assert len(seen) > 50
