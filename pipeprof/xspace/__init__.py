"""Traces of TensorFlow's profiler (XSpace): their format, reading them, and repairing their step markers.

It needs no TensorFlow and must not know pipeprof's own runs.
"""
