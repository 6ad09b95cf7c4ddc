"""Short windows of TensorFlow's profiler in a training, and what they saw, added to a recording."""
