"""The shop's Celery, as Celery's own documentation sets one up for Django."""

from celery import Celery

app = Celery("shop")
app.config_from_object("django.conf:settings", namespace="CELERY")
