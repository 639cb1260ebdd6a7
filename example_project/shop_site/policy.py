"""A strict Content-Security-Policy on every page: scripts, styles and pictures from this shop alone, none inline.

Never on Django's own debug pages, which style themselves inline.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

POLICY = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"


def content_security_policy(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[..., HttpResponse]:
    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.status_code < 400:
            response.headers["Content-Security-Policy"] = POLICY
        return response

    return middleware
