"""Rewritten: the words for a body or an element that something changed between WeChat and the app.

Never blames WeChat: the signature is right over what it sent.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_PASS = _("Let what is in front of Django (gateway, firewall, proxy, middleware) pass the body byte by byte.")
_FIELD = _(
    "Let what is in front of Django pass the XML as it is, without parsing and writing it anew. The key is right."
)

REWRITTEN: dict[str, tuple[Promise, Promise]] = {
    "newline_added": (
        _(
            "The body was altered on the way: without its last line break it verifies with the key %(serial)s of "
            "“%(alias)s”."
        ),
        _PASS,
    ),
    "newline_lost": (
        _(
            "The body was altered on the way: with a line break at its end it verifies with the key %(serial)s of"
            " “%(alias)s”."
        ),
        _PASS,
    ),
    "line_ends": (
        _(
            "The body was altered on the way: with its line ends as they were (CRLF or LF) it verifies with the "
            "key %(serial)s of “%(alias)s”."
        ),
        _PASS,
    ),
    "bom": (
        _(
            "The body was altered on the way: a byte order mark was added or lost; without that it verifies with "
            "the key %(serial)s of “%(alias)s”."
        ),
        _PASS,
    ),
    "space_around": (
        _(
            "The body was altered on the way: white space around it was added or lost; without that it verifies "
            "with the key %(serial)s of “%(alias)s”."
        ),
        _PASS,
    ),
    "json_rewritten": (
        _(
            "The JSON was parsed and written anew on the way (spaces, order or escapes): as WeChat wrote it, it "
            "verifies with the key %(serial)s of “%(alias)s”."
        ),
        _PASS,
    ),
    "json_string": (
        _(
            "The body was wrapped into a JSON text on the way: unwrapped it verifies with the key %(serial)s of "
            "“%(alias)s”."
        ),
        _PASS,
    ),
    "charset": (
        _(
            "The body was converted to another character set on the way: converted back it verifies with the key "
            "%(serial)s of “%(alias)s”."
        ),
        _PASS,
    ),
    "form_encoded": (
        _("The body was encoded as a form on the way: decoded it verifies with the key %(serial)s of “%(alias)s”."),
        _PASS,
    ),
    "plus_lost": (
        _(
            "The body was decoded as a form on the way: with “+” in place of spaces it verifies with the key "
            "%(serial)s of “%(alias)s”."
        ),
        _PASS,
    ),
    "compressed": (
        _("The body is compressed: unpacked it verifies with the key %(serial)s of “%(alias)s”."),
        _("Let the proxy that packs bodies unpack them again. The key is right."),
    ),
    "html_escaped": (
        _("The body was escaped for HTML on the way: unescaped it verifies with the key %(serial)s of “%(alias)s”."),
        _PASS,
    ),
    "body_empty": (
        _("The body is empty, though the key %(serial)s of “%(alias)s” made the signature: something read it before."),
        _(
            "Find the middleware or server module that reads request.POST or the stream in front of the view, and"
            " let it leave this URL alone."
        ),
    ),
    "altered_otherwise": (
        _(
            "The key %(serial)s of “%(alias)s” made this signature, but not over this body, timestamp and nonce: "
            "something was altered, in none of the usual ways, or the signature was taken from another "
            "notification."
        ),
        _(
            "Compare the stored body, its length and the Wechatpay-* headers with what the first proxy received. "
            "If all others verify, somebody tampered: do nothing."
        ),
    ),
    "values_trimmed": (
        _(
            "White space at the ends of an element was added or lost on the way (%(name)s): without that the sign"
            " is right."
        ),
        _FIELD,
    ),
    "values_escaped": (
        _("An element was escaped or unescaped once too often on the way (%(name)s): without that the sign is right."),
        _FIELD,
    ),
    "values_charset": (
        _("An element was converted to another character set on the way (%(name)s): converted back the sign is right."),
        _FIELD,
    ),
    "values_line_ends": (
        _("The line ends in an element were changed on the way (%(name)s): without that the sign is right."),
        _FIELD,
    ),
    "values_encoded": (_("An element was percent-encoded on the way (%(name)s): decoded the sign is right."), _FIELD),
    "element_added": (_("An element was added on the way (%(name)s): without it the sign is right."), _FIELD),
    "element_lost": (_("An element was dropped on the way (%(name)s): with it the sign is right."), _FIELD),
}
"""Code → (cause, what to do); `name` is an element, or * for all."""
