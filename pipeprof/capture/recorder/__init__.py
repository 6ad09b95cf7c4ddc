"""The hot path: rings of fixed-size events in mapped files, one for each thread, and the log of names.

It must not know what an event means to anybody, nor any framework.
"""
