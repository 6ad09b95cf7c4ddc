"""Findings as HTML, in one file that needs nothing else: a run, runs beside each other, notebooks.

May know the words and figures of the report. Must not know a terminal or a server.
"""
