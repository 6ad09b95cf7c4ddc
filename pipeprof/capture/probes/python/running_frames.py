"""The frames that all threads are in at this moment, taken without the risk of a deadlock."""

import gc
import sys
from threading import get_ident
from types import FrameType


def frames_by_thread() -> dict[int, FrameType]:
    """The innermost frame of each thread, by the thread's ident; as ``sys._current_frames``.

    That function holds a lock of the interpreter while it creates objects. Where the garbage collector
    runs in between and finds a ``threading.local``, it waits for that lock for ever, and with it the
    training (https://github.com/python/cpython/issues/106883; seen with Python 3.11.7). So nothing is
    collected meanwhile.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        frames = sys._current_frames()
    finally:
        if collects:
            gc.enable()
    frames[get_ident()] = sys._getframe(1)  # and not this function's
    return frames
