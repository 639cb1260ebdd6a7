"""A visitor: one page of a real browser, in a width, a theme and a language; it minds whatever a page complains about.

Never forgives: a word on the console, an error, a request to another site or a violation of accessibility fails the
test.
"""

import os
from importlib.resources import files
from pathlib import Path

FLAGS = ["no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"]
FLAGS += ["disable-component-update", "disable-sync"]
WIDTHS = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 390, "height": 844}}
LOOKS = [(width, theme) for width in WIDTHS for theme in ("light", "dark")]
TWO_LOOKS = [("wide", "light"), ("narrow", "dark")]
"""Every width and every theme, for walks whose pages other walks see in all looks."""


def strict_policy(get_response):
    """A host's middleware that forbids everything inline and everything foreign."""

    def middleware(request):
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'; frame-ancestors 'none'; form-action 'self'"
        return response

    return middleware


class Visitor:
    def __init__(self, chromium, site, *, width="wide", theme="light", language="en"):
        self.site, self.width, self.theme, self.language = site, width, theme, language
        self.context = chromium.new_context(viewport=WIDTHS[width], locale=language, color_scheme=theme)
        self.page = self.context.new_page()
        self.complaints = []
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda sent: sent.url.startswith(site) or self.complaints.append(sent.url))
        # What is under way when a page is left is broken off, and that is right.
        self.page.on(
            "requestfailed", lambda lost: lost.failure == "net::ERR_ABORTED" or self.complaints.append(lost.url)
        )

    def _hear(self, told):
        # Chromium asks for a favicon.ico of its own accord; that a test server has none is no fault of a page.
        if "/favicon.ico" not in told.location["url"]:
            self.complaints.append(f"{told.text} {told.location['url']}")

    def open(self, path):
        self.page.goto(path if path.startswith("http") else self.site + path)

    def look(self, name=""):
        """What a careful eye would find wrong with the page as it is: it is too wide, or breaks a rule of WCAG.

        Keeps a screenshot, if somebody wants to look: WECHATPAY_SCREENSHOTS names the directory.
        """
        self.page.wait_for_load_state()
        directory = os.environ.get("WECHATPAY_SCREENSHOTS")
        if directory and name:
            path = Path(directory) / f"{name}-{self.width}-{self.theme}-{self.language}.png"
            self.page.screenshot(path=path, full_page=True)
        too_wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert too_wide == 0, f"{self.page.url} is {too_wide} pixels wider than its window"
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text())
        # Without `preload`: it would fetch what a sheet imports as if it lay beside the page.
        found = self.page.evaluate("axe.run({preload: false}).then(found => found.violations)")
        assert not found, "\n".join(f"{rule['id']}: {node['html']}" for rule in found for node in rule["nodes"])

    def leave(self):
        self.context.close()
        assert self.complaints == [], self.complaints
