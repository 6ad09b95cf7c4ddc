"""Runs beside each other: was it the same work, what changed, and is that beyond the noise.

May know findings and measures of whole runs. Must not know what to do about a run.
"""
