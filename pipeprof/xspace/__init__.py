"""Traces of TensorFlow's profiler (XSpace): their format, reading them, and adding missing step markers.

It needs no TensorFlow and must not know pipeprof's own runs.
"""
