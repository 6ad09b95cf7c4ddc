"""Trace windows: TensorFlow's profiler, on during some steps of a training, and what its traces hold."""
