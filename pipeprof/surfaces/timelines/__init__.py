"""A run over time for other programs: Chrome traces, XSpace files, TensorBoard's events and scalars.

May know recordings and findings. Must not know how a viewer draws them.
"""
