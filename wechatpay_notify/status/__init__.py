"""The order-status API a payment page polls. Opt-in; on Django REST framework, with every policy of its own."""
