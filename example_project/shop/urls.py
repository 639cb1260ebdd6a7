from django.conf import settings
from django.urls import path

from . import views

app_name = "shop"

urlpatterns = [
    path("", views.products, name="products"),
    path("products/<int:pk>/buy/", views.buy, name="buy"),
    path("orders/<str:number>/", views.order, name="order"),
    path("orders/<str:number>/cancel/", views.cancel, name="cancel"),
]
if settings.DEBUG:
    from . import pretend

    urlpatterns += [
        path("orders/<str:number>/pretend-payment/", pretend.pay, name="pretend_payment"),
        path("orders/<str:number>/pretend-refund/", pretend.refund, name="pretend_refund"),
    ]
