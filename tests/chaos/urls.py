from django.urls import include, path

urlpatterns = [path("wechatpay/", include("wechatpay_notify.urls"))]
