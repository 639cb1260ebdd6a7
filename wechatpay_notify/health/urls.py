"""`health/`: include it beside the callbacks if something watches the shop."""

from django.urls import path

from .views import HealthView

app_name = "wechatpay_notify_health"

urlpatterns = [path("health/", HealthView.as_view(), name="health")]
