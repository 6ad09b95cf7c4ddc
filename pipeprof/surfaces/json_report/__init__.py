"""Findings as plain values for programs: the JSON report, whose keys are always all there.

May know findings and names. Must not know HTML or a terminal.
"""
