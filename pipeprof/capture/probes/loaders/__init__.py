"""What a training takes its batches from: sequences, PyTorch's and grain's loaders, generators, iterables.

They are recognised by the names of their classes and watched the same way whichever loop takes their
batches, one of Keras's or one written by hand. So Keras's sequences and their workers are here and not
beside its loops. Imports no framework.
"""
