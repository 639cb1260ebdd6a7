"""Fixtures: one Chromium for all browser tests, and visitors that use it."""

import shutil

import pytest

from .visitor import FLAGS, Visitor


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright  # not installed where no browser is

    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's loop runs in this thread, which Django takes for an asynchronous context.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=[f"--{flag}" for flag in FLAGS])
        yield browser
        browser.close()


@pytest.fixture
def visit(chromium):
    """Open a site as a visitor who will have nothing to complain about when the test is over."""
    visitors = []

    def make(site, **looks):
        visitors.append(Visitor(chromium, site, **looks))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.leave()
