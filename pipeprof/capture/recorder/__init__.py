"""The hot path: rings of fixed-size events in mapped files, one for each thread, and the log of names.

It must not know what the events are used for, nor any framework.
"""
