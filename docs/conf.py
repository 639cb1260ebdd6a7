"""Sphinx builds these pages with `python -m sphinx -n -W -b html docs docs/_build/html`."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

import django  # noqa: E402

django.setup()

from wechatpay_notify import __version__  # noqa: E402

project = "django-wechatpay-notify"
author = "The django-wechatpay-notify contributors"
copyright = "2026, the django-wechatpay-notify contributors"  # noqa: A001 (Sphinx's name)
release = version = __version__

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build", "_measured"]
default_role = "code"  # docstrings write `name`, as Django's do not but Markdown readers expect
highlight_language = "python"
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

# Our own names must resolve. Django's and Python's do only with their inventories, which need the network.
nitpick_ignore_regex = [("py:.*", r"(?!wechatpay_notify).*")]
if os.environ.get("DOCS_INTERSPHINX") == "1":
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "python": ("https://docs.python.org/3", None),
        "django": ("https://docs.djangoproject.com/en/stable", "https://docs.djangoproject.com/en/stable/_objects/"),
    }

html_theme = "furo"
html_theme_options = {"top_of_page_buttons": []}
html_title = f"django-wechatpay-notify {version}"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_show_sphinx = False
