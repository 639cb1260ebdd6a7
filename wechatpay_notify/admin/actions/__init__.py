"""Actions: what staff may have done from the admin: deliver again, process again, resolve, export.

Never a change of evidence: what is done is done by the app's own functions, and what came stays as it came.
"""
