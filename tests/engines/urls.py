from django.urls import path

from tests.races.urls import urlpatterns as shop

from . import desk

urlpatterns = [*shop, path("desk/wake/", desk.wake)]
