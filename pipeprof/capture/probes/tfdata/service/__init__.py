"""The tf.data service: what a training takes from it, and what its workers do.

May know written datasets and running pipelines. Must not know a loop.
"""
