"""Findings as figures: plain values that plotly draws, each with a table of its values.

May know findings and the words of a report. Must not know a page, and does not load plotly.
"""
