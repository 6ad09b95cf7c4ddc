"""Keras 2 and 3: the loops of ``fit`` and its kin, with their epochs, steps and samples."""
