"""Desk: the page of the admin where a payment is looked for, and where lies what needs a person.

Never holds anything: a proxy, so that the admin lists it and Django keeps a permission for it.
"""

from django.utils.translation import gettext_lazy as _

from .orders import Order


class Desk(Order):
    """Staff who may view it find a payment by any number; what they see of it needs the permissions of each model."""

    class Meta:
        proxy = True
        verbose_name = _("payment desk")
        verbose_name_plural = _("payment desk")
        default_permissions = ("view",)
