"""What a training takes its batches from: sequences, PyTorch's and grain's loaders, generators, iterables.

They are recognised by the names of their classes. Keras's loops and hand-written ones take batches from
them, so Keras's sequences and their workers are here and not beside its loops. Imports no framework.
"""
