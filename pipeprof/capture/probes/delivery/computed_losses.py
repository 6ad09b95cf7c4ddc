"""Whether a loss can be read without waiting for the device that computes it; knows no framework."""

from typing import Any


def is_at_hand(loss: Any) -> bool:
    """Whether reading a loss waits for nothing.

    JAX says whether a value is computed. TensorFlow and PyTorch do not: reading one of their values from an
    accelerator waits for all work that it was given, so only what lies in the host's memory is at hand.

    Args:
        loss: a number, or a scalar of NumPy or of a framework.
    """
    is_ready = getattr(loss, "is_ready", None)
    if callable(is_ready):
        return bool(is_ready())
    return "cpu" in str(getattr(loss, "device", "cpu")).lower()
