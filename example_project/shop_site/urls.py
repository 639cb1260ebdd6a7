from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView


class Icon(RedirectView):
    """Browsers ask for it beside every page, the admin's too."""

    def get_redirect_url(self) -> str:
        return static("shop/icon.svg")


urlpatterns = [
    path("wechatpay/", include("wechatpay_notify.urls")),  # the callbacks: WeChat posts here
    path("wechatpay/", include("wechatpay_notify.status.urls")),  # the status API: the order page polls it
    path("wechatpay/", include("wechatpay_notify.health.urls")),  # the health figures as JSON, for whoever is signed in
    path("admin/", admin.site.urls),
    path("favicon.ico", Icon.as_view()),
    path("", include("shop.urls")),
]
