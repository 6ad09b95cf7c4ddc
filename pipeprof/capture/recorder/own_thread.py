"""The class of all threads that pipeprof starts inside a training, by which its own are recognised."""

import threading
from collections.abc import Callable


class OwnThread(threading.Thread):
    """A thread of pipeprof.

    Args:
        target: what it runs.
        name: what it is for; the thread is named ``pipeprof-`` and this.
        daemon: whether the program may end before it does.
    """

    def __init__(self, target: Callable[[], object], name: str, *, daemon: bool = True) -> None:
        super().__init__(target=target, name=f"pipeprof-{name}", daemon=daemon)
