"""Processes that train together and the workers of a tf.data service, in words and tables.

May know findings, names and numbers. Must not know the other words of a run.
"""
