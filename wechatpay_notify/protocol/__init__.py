"""The WeChat Pay notification protocol: bytes in, typed values out.

Never imports Django, reads a clock, opens a socket or touches a database.
"""
