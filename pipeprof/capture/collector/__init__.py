"""From events to a `Profile`, in bounded memory and at a constant cost for each event.

A run whose process died is recovered in the same way, from its files alone. It must not know which probe
recorded an event.
"""
