from django.urls import include, path

from . import desk

urlpatterns = [
    path("wechatpay/", include("wechatpay_notify.urls")),
    path("desk/orders/", desk.orders),
    path("desk/close/", desk.close),
    path("desk/shelves/", desk.shelves),
    path("desk/amend/", desk.amend),
    path("desk/gate/", desk.gate),
    path("desk/age/", desk.age),
    path("desk/prune/", desk.prune),
    path("desk/replay/", desk.replay),
    path("desk/again/", desk.again),
    path("desk/work/", desk.work),
    path("desk/hurry/", desk.hurry),
    path("desk/report/", desk.report),
]
