"""Notices: the words for what can be wrong with a notice of API v2, its sign, its keys.

Never used for v3, nor for what something did to the notice on its way.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

NOTICES: dict[str, tuple[Promise, Promise]] = {
    "sign_missing": (
        _("The XML has no sign element, or an empty one."),
        _("WeChat signs every notice: something dropped the element, or somebody knocked. In that case do nothing."),
    ),
    "sign_odd": (
        _("The sign has %(length)s characters, or others than hex digits. WeChat's has 32 (MD5) or 64 (HMAC-SHA256)."),
        _("Nothing, unless something of yours rewrites the XML."),
    ),
    "md5_refused": (
        _("The sign is right, but it is MD5, and V2_SIGN_TYPE of “%(used)s” is HMAC-SHA256."),
        _(
            "If your orders are made with MD5, send sign_type HMAC-SHA256 when ordering, or set V2_SIGN_TYPE to "
            "MD5. If they never are, somebody has your API v2 key: change it."
        ),
    ),
    "sign_type_contradicts": (
        _("The sign is right as %(algorithm)s, but the element %(name)s says %(said)s."),
        _(
            "Something of yours made this notice: WeChat does not contradict itself. The element must name what "
            "was used."
        ),
    ),
    "v2_other_merchant_key": (
        _("It was made with the API v2 key of “%(alias)s”, and came to the URL of “%(used)s”."),
        _(
            "Give the notify_url of “%(alias)s” when you order or refund for it, or exchange the two keys if they"
            " are mixed up."
        ),
    ),
    "v2_key_is_v3": (
        _("It was made with what stands in API_V3_KEY of “%(used)s”: that is the API v2 key."),
        _("Exchange API_V3_KEY and API_V2_KEY: both have 32 characters."),
    ),
    "claims_other_merchant": (
        _(
            "The sign is nobody's here. The notice names the merchant %(mchid)s, yours under “%(alias)s”, not "
            "“%(used)s”."
        ),
        _("Check the notify_url, and the API_V2_KEY of “%(alias)s”."),
    ),
    "claims_stranger": (
        _("The sign is nobody's here, and the notice names the merchant %(mchid)s, while this URL is of %(mine)s."),
        _("If that number is yours, configure it in MERCHANTS. Otherwise do nothing."),
    ),
    "unexplained_v2": (
        _(
            "The sign (%(algorithm)s) fits no configured API v2 key. Tried over its %(count)s elements: each "
            "added, dropped, trimmed, escaped or in another character set. It was forged, or altered otherwise, "
            "or the key is wrong."
        ),
        _("Compare API_V2_KEY with the merchant platform. If other notices verify with it, do nothing."),
    ),
    "unexplained_req_info": (
        _("The refund opens with no configured API v2 key: the key is wrong, or it was forged or altered."),
        _("Compare API_V2_KEY of “%(used)s” with the merchant platform. If other refunds open with it, do nothing."),
    ),
}
"""Code → (cause, what to do)."""
