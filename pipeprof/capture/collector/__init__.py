"""Turns events into a `Profile`, in bounded memory and at a constant cost for each event.

It also recovers a run whose process died, from its files alone. It must not know which probe recorded an
event.
"""
