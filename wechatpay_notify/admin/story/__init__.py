"""The story: what happened to a payment, told in plain words with each case's facts.

Never decides or changes anything, and never tells what its reader may not view.
"""
