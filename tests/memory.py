"""How much memory something holds."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import TypeVar

Made = TypeVar("Made")


def made_with_bytes(make: Callable[[], Made]) -> tuple[Made, int]:
    """What ``make`` returns, and how many bytes it allocated that are not free again."""
    gc.collect()
    tracemalloc.start()
    try:
        made = make()
        gc.collect()
        return made, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
