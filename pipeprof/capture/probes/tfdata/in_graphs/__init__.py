"""Stages that no iterator of Python shows: in graphs, and behind a distribution strategy.

May know written datasets and running pipelines. Must not know a loop.
"""
