from django.urls import include, path

from . import views

urlpatterns = [
    path("wechatpay/", include("wechatpay_notify.urls")),
    path("bare/<str:number>/", views.bare),
    path("written/", views.written_by_hand),
    path("lean/", views.lean),
    path("worker/", views.worker),
]
