"""Words: for each thing the doctor can find, what happened and what to do, with this case's facts in their places.

Never holds a value: `%(name)s` are the facts that `protocol.doctor` hands over.
"""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from .notices import NOTICES
from .rewritten import REWRITTEN

_WORDS: dict[str, tuple[Promise, Promise]] = {
    "mended": (
        _("With the keys that are configured now this request verifies: what was wrong has been mended since."),
        _("Process it again from its stored bytes, or wait for WeChat's next attempt."),
    ),
    "probe": (
        _("This is WeChat's own test of whether you verify signatures: the signature is false on purpose."),
        _("Nothing. Refusing it is right; the real notification follows."),
    ),
    # Headers
    "headers_all_missing": (
        _("None of the four Wechatpay-* headers came: it is not from WeChat, or a proxy dropped them all."),
        _(
            "If WeChat's notifications never arrive signed, let every proxy, CDN, gateway and firewall in front "
            "of Django pass Wechatpay-*. If others do, somebody knocked: do nothing."
        ),
    ),
    "headers_missing": (
        _("Some of the signature headers did not come: %(names)s."),
        _("Find what in front of Django drops or empties them: WeChat sends all four."),
    ),
    "headers_underscored": (
        _("Headers have underscores in their names (%(names)s). WeChat writes hyphens: something renamed them."),
        _("Pass the headers on under their own names; Django and most servers drop names with underscores."),
    ),
    "headers_cut": (
        _("A signature header is longer than the %(limit)s characters that are kept, and than any of WeChat's."),
        _("Nothing, unless a proxy of yours writes several values into one header."),
    ),
    "headers_doubled": (
        _("The signature headers came twice and were joined with a comma: taken once, the signature verifies."),
        _("Let the proxy set no Wechatpay-* headers of its own beside those it passes on."),
    ),
    "headers_odd": (
        _("A signature header has characters that WeChat never sends."),
        _("Nothing, unless a proxy of yours rewrites headers."),
    ),
    "signature_type": (
        _("The signature is said to be of the type %(type)s. Only WECHATPAY2-SHA256-RSA2048 is checked here."),
        _(
            "If your merchant account uses SM2 (国密), ask WeChat Pay for an RSA certificate or the WeChat Pay "
            "public key. Otherwise do nothing."
        ),
    ),
    "not_base64": (
        _("The signature, %(length)s characters long, is no base64: it was damaged on the way or never was one."),
        _("Compare it with what the first proxy received. WeChat's has 344 characters."),
    ),
    "signature_header": (
        _(
            "The signature header was altered on the way: with its percent signs, spaces or quotes put right it "
            "verifies with the key %(serial)s."
        ),
        _("Let what is in front of Django pass headers as they are."),
    ),
    # Time
    "clock_ahead": (
        _(
            "The signature is WeChat's, but its time lies %(seconds)s s in the past; %(allowed)s s are allowed. "
            "This server's clock is ahead, or the request was held back or sent a second time."
        ),
        _("Check that NTP keeps this server's clock. If it is right, this is a replay: WeChat signs each retry anew."),
    ),
    "clock_behind": (
        _(
            "The signature is WeChat's, but its time lies %(seconds)s s in the future; %(allowed)s s are allowed:"
            " this server's clock is behind."
        ),
        _("Set the clock and let NTP keep it."),
    ),
    "milliseconds": (
        _("Wechatpay-Timestamp is %(timestamp)s: milliseconds. WeChat writes seconds."),
        _("Mend what made or rewrote the header, a test script perhaps: seconds have 10 digits."),
    ),
    "timestamp_unreadable": (
        _("The signature holds, but Wechatpay-Timestamp is %(timestamp)s, which is no Unix time in seconds."),
        _("Mend what made or rewrote the header, a test script perhaps."),
    ),
    # Keys of v3
    "serial_spelling": (
        _("WeChat names the key %(serial)s. It verifies with yours, which is configured as %(configured)s."),
        _("Write the serial in PLATFORM_KEYS exactly as WeChat does."),
    ),
    "serial_misfiled": (
        _("It verifies with the certificate %(serial)s, which is configured under another serial, %(configured)s."),
        _("Configure each certificate in PLATFORM_KEYS under its own serial."),
    ),
    "other_key": (
        _("WeChat names the key %(serial)s, but it verifies with the one that is configured as %(configured)s."),
        _("Two keys in PLATFORM_KEYS were exchanged or one is under a wrong id: put each under its own."),
    ),
    "other_merchant_key": (
        _("It was signed with the key %(serial)s of the merchant “%(alias)s”, and came to the URL of “%(used)s”."),
        _(
            "Give the notify_url of “%(alias)s” when you order for it; or, if both use one key, add it to the "
            "PLATFORM_KEYS of “%(used)s” too."
        ),
    ),
    "own_certificate": (
        _(
            "PLATFORM_KEYS holds a merchant's own certificate (apiclient_cert.pem) as %(serials)s. WeChat never "
            "signs with it."
        ),
        _(
            "Put the WeChat Pay public key (pub_key.pem, under its PUB_KEY_ID_…) or a platform certificate in its"
            " place."
        ),
    ),
    "public_key_missing": (
        _(
            "Serial %(serial)s is unknown: a WeChat Pay public key. You have certificates only (%(configured)s); "
            "WeChat signs with the public key once the switch to it has begun."
        ),
        _("Download that public key from the merchant platform and add it to PLATFORM_KEYS beside the certificate."),
    ),
    "certificate_missing": (
        _(
            "Serial %(serial)s is unknown: a platform certificate. You have %(configured)s only; WeChat still "
            "signs some callbacks with the certificate."
        ),
        _("Add the platform certificate to PLATFORM_KEYS, or finish the switch to the public key."),
    ),
    "serial_unknown": (
        _("Serial %(serial)s is unknown. Configured: %(configured)s."),
        _(
            "If it stands on your merchant platform (account centre, API security), add that key to "
            "PLATFORM_KEYS: a certificate was renewed. If it does not, somebody forged it: do nothing."
        ),
    ),
    "no_platform_keys": (
        _("No key of WeChat's is configured that could verify serial %(serial)s."),
        _("Add the WeChat Pay public key or platform certificate to PLATFORM_KEYS."),
    ),
    "development_key": (
        _("Serial %(serial)s is that of wechatpay_notify.testing: a simulator sent this. Configured: %(configured)s."),
        _("Send it to a site whose settings use development_merchant(), never to production."),
    ),
    "certificate_expired": (
        _("The signature is right, but the platform certificate %(serial)s had expired."),
        _("Add the renewed certificate or the WeChat Pay public key to PLATFORM_KEYS, and check this server's clock."),
    ),
    "certificate_early": (
        _("The signature is right, but the platform certificate %(serial)s was not valid yet."),
        _("Check this server's clock; keep the old certificate beside the new one."),
    ),
    # Content
    "apiv3_key_wrong": (
        _("The signature is WeChat's, but no configured APIv3 key opens the content."),
        _(
            "Copy the APIv3 key (APIv3密钥) from the merchant platform into API_V3_KEY of “%(used)s”; a list while "
            "it changes."
        ),
    ),
    "apiv3_key_elsewhere": (
        _(
            "The signature is WeChat's; the content opens with the APIv3 key of “%(alias)s”, not with that of "
            "“%(used)s”."
        ),
        _("Two API_V3_KEYs were exchanged, or the notify_url names the wrong merchant."),
    ),
    "apiv3_key_is_v2": (
        _("The content opens with what stands in API_V2_KEY of “%(used)s”: that is the APIv3 key."),
        _("Exchange API_V3_KEY and API_V2_KEY: both have 32 characters."),
    ),
    "resource_algorithm": (
        _("The signature is WeChat's; the content is encrypted with another algorithm than AEAD_AES_256_GCM."),
        _("SM4 (国密) is not supported: ask WeChat Pay for an account with RSA and AES."),
    ),
    "signed_but_odd": (
        _("The signature is right, but this is no notification as WeChat documents them: %(why)s."),
        _("If WeChat sent it, report it to this app's developers; nothing of your settings is wrong."),
    ),
    # The request as a whole
    "other_version_verifies": (
        _("This is an API %(other)s body at the URL of the other version; there it would have verified."),
        _("Order with the notify_url of %(other)s, or with the one that takes both (notify/)."),
    ),
    "other_version": (
        _("This is an API %(other)s body at the URL of the other version."),
        _("Use the notify_url that takes both (notify/); what else is wrong stands below."),
    ),
    "empty": (
        _("There is neither a body nor a signature header: somebody knocked, or something read a v2 body before."),
        _("If v2 notices arrive so, find the middleware that reads request.POST before the view."),
    ),
    "not_xml": (
        _("The body is no XML that a notice could be: %(why)s."),
        _("If WeChat sent it, something in front of Django rewrote it: compare it with what the first proxy received."),
    ),
    "body_cut": (
        _("Only the first %(kept)s bytes of the body were kept, so that the signature cannot be examined."),
        _(
            "WeChat's notifications are smaller as a rule. If this is one, examine its next attempt with "
            "diagnose_request()."
        ),
    ),
    "too_large": (
        _("The body was longer than a notification may be (%(limit)s bytes for v3, 64 KiB for v2), and was not read."),
        _("Nothing, unless WeChat's own are refused so: then raise MAX_BODY_BYTES."),
    ),
    "source_refused": (
        _("The signature is WeChat's; the address %(address)s is not in SOURCE_NETWORKS."),
        _("Add it if it is WeChat's; name it in TRUSTED_PROXIES if it is your proxy's."),
    ),
    "misconfigured": (
        _("Settings of this merchant cannot be used: %(settings)s."),
        _("Run manage.py check: it says of each what is wrong."),
    ),
    "no_merchant": (
        _("No merchant “%(used)s” can be had from MERCHANTS now, so that no key could be tried."),
        _("Configure it again, or see the log for what the merchant provider raised."),
    ),
    "wrong_alias": (
        _(
            "It is genuine, and the merchant %(mchid)s's, which is configured as “%(alias)s”; it came to the URL "
            "of “%(used)s”."
        ),
        _("Order with the notify_url of “%(alias)s”."),
    ),
    "wrong_appid": (
        _("It is genuine, and this merchant's (%(mchid)s), but its appid or sub_mchid is not one of those configured."),
        _("Add it to APPIDS or SUB_MCHIDS of “%(used)s” if it is yours, and compare it with the order's."),
    ),
    "wrong_stranger": (
        _("It is genuine, but the merchant %(mchid)s's, which is configured nowhere."),
        _("If it is yours, add it to MERCHANTS; check MCHID of “%(used)s”."),
    ),
    # Nothing fits
    "unexplained_v3": (
        _(
            "The key %(serial)s is configured and did not make this signature, nor did any other configured key, "
            "whatever was signed: it was forged, or another key belongs under this serial."
        ),
        _(
            "Compare the file configured as %(serial)s with the merchant platform. If all others verify with it, "
            "somebody forged this: do nothing."
        ),
    ),
}
WORDS: dict[str, tuple[Promise, Promise]] = _WORDS | NOTICES | REWRITTEN
"""Code → (cause, what to do)."""
