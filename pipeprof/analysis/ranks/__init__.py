"""Processes that train together: which ones do, how their steps align, and which makes the others wait.

May know findings of single processes. Must not know a recording: only the small summary of each process.
"""
