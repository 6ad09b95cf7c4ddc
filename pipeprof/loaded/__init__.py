"""Recorded runs, for those who use pipeprof in Python: one with its findings, or two side by side.

May know everything that reads a recording. Must not know how one is captured.
"""
