"""Whether a loop waits for its input, which stage is the bottleneck, why, and how certain that is.

May know measures and findings. Must not know what to do about it.
"""
