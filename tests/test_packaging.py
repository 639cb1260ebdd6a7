"""The package as a shop installs it: what the wheel carries, and what the metadata promises."""

import configparser
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from hatchling import build

import wechatpay_notify

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

SHOP = """
import django, wechatpay_notify
from django.conf import settings
from wechatpay_notify.testing import Platform

PLATFORM = Platform()
settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    INSTALLED_APPS=["django.contrib.contenttypes", "wechatpay_notify"],
    ROOT_URLCONF="wechatpay_notify.urls",
    LANGUAGE_CODE="zh-hans",
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    WECHATPAY_NOTIFY={"MERCHANTS": {"default": PLATFORM.merchant()}},
)
django.setup()

from django.core.management import call_command
from django.test import Client
from wechatpay_notify import models, signals

call_command("migrate", verbosity=0)
call_command("makemigrations", check=True, dry_run=True, verbosity=0)
signals.payment_confirmed.connect(lambda order, **kwargs: None, weak=False, dispatch_uid="shop.ship")
models.Order.objects.expect(out_trade_no="A-1", amount=100)
answer = PLATFORM.payment_v3("A-1", 100).post(Client(), "/notify/")
assert answer.status_code == 200, answer
print(wechatpay_notify.__file__, models.Order.objects.get().status)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    here = Path.cwd()
    os.chdir(ROOT)
    try:
        return folder / build.build_wheel(str(folder))
    finally:
        os.chdir(here)


def test_the_wheel_carries_every_file_of_the_package_and_no_other(wheel):
    files = (path for path in (ROOT / "wechatpay_notify").rglob("*") if path.is_file())
    expected = {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"}
    with zipfile.ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert carried == expected


def test_the_wheel_alone_serves_a_shop(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    shop = subprocess.run(
        [sys.executable, "-P", "-W", "error", "-c", SHOP],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert shop.returncode == 0, shop.stderr
    assert shop.stdout.split()[-2:] == [str(tmp_path / "wechatpay_notify" / "__init__.py"), "paid"]


def test_code_metadata_and_changelog_name_the_same_version():
    newest = re.search(r"^(\d+\.\d+\.\d+) \(", (ROOT / "CHANGELOG.rst").read_text(encoding="utf-8"), re.MULTILINE)
    assert {wechatpay_notify.__version__, version("django-wechatpay-notify"), newest[1]} == {PROJECT["version"]}


@pytest.mark.parametrize(
    ("framework", "factor"), [("Framework :: Django", "django"), ("Programming Language :: Python", "py")]
)
def test_every_version_the_metadata_names_is_tried(framework, factor):
    named = {entry.removeprefix(f"{framework} :: ") for entry in PROJECT["classifiers"] if entry.startswith(framework)}
    tox = configparser.ConfigParser()
    tox.read(ROOT / "tox.ini")
    tried = re.findall(rf"\b{factor}(\d)(\d+)\b", tox["tox"]["env_list"])
    assert {number for number in named if "." in number} == {f"{major}.{minor}" for major, minor in tried}
