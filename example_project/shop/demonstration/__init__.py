"""The demo's parts: the shop's server as a process of its own, what WeChat sends to it, and the table of what came.

Never used by the shop itself.
"""
