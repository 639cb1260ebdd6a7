"""`orders/<public_id>/`: include it beside the callbacks if the shop's front end polls."""

from django.urls import path

from .views import OrderStatusView

app_name = "wechatpay_notify_status"

urlpatterns = [path("orders/<uuid:public_id>/", OrderStatusView.as_view(), name="order")]
