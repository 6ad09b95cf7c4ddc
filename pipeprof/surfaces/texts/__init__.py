"""Findings as text for a terminal, a pipe, a log or a pull request.

May know the words of the report. Must not print: each module returns its text.
"""
