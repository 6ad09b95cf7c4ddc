"""Pipelines as they run: AUTOTUNE's counters, and which written transformation each node runs.

May know written datasets. Must not know which loop a pipeline feeds.
"""
