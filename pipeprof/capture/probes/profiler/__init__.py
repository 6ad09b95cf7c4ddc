"""Trace windows: some steps of a training that TensorFlow's profiler traces, and what reads the traces."""
