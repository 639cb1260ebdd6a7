from importlib.util import find_spec

from django.contrib import admin
from django.urls import include, path

FIGURES = "wechatpay_notify.health"
urlpatterns = [
    path("admin/", admin.site.urls),
    path("wechatpay/", include("wechatpay_notify.urls")),
    *([path("wechatpay/", include(f"{FIGURES}.urls"))] if find_spec(FIGURES) else []),
]
