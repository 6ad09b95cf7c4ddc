"""Keras 2 and 3: loops of ``fit`` and its kin, sequences and their workers."""
