"""The clocks that a planted training keeps of itself, and the line of JSON with what they showed."""

import json
import os
import sys
import threading
import time

BEGAN = time.perf_counter()


class Stopwatch:
    """Adds up the wall time of ``with`` blocks, in all threads."""

    def __init__(self):
        self.seconds, self.count = 0.0, 0
        self._lock = threading.Lock()
        self._begun = threading.local()

    def __enter__(self):
        self._begun.at = time.perf_counter()

    def __exit__(self, *raised):
        took = time.perf_counter() - self._begun.at
        with self._lock:
            self.seconds += took
            self.count += 1


class LoopClock:
    """What each step of a hand-written loop waited, and how long it took."""

    def __init__(self):
        self._waits, self._steps, self._first = [], [], []
        self._began, self._is_first, self.epochs = None, True, 0

    def wait(self):
        """The loop begins to ask for the first batch of an epoch."""
        self.epochs += 1
        self._is_first = True
        self._begin = time.perf_counter()
        self._began = self._began or self._begin

    def got(self):
        """A batch has come."""
        self._got = time.perf_counter()

    def done(self):
        """The step is over, and the loop asks for the next batch."""
        self._end = time.perf_counter()
        self._waits.append(self._got - self._begin)
        self._steps.append(self._end - self._begin)
        self._first.append(self._is_first)
        self._begin, self._is_first = self._end, False

    def truth(self):
        """What a report should have for this loop."""
        return summary(self._waits, self._steps, self._first) | {
            "epochs": self.epochs,
            "loop_s": self._end - self._began,
        }


def summary(waits, steps, first):
    """Sums in s, and means in ms without each epoch's first step and the first five."""
    inner = [i for i, is_first in enumerate(first) if not is_first]
    steady = [i for i in inner if i >= 5]
    return {
        "steps": len(steps),
        "wait_s": sum(waits[i] for i in inner),
        "first_batches_s": sum(wait for wait, is_first in zip(waits, first) if is_first),
        "wait_ms": 1e3 * mean([waits[i] for i in steady]),
        "step_ms": 1e3 * mean([steps[i] for i in steady]),
    }


def mean(values):
    """The mean, and 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def compute_in_python(seconds):
    """Holds the GIL for so much CPU time of this thread."""
    until, n = time.thread_time() + seconds, 0
    while time.thread_time() < until:
        n += sum(range(100))
    return n


def input_is_free():
    """Whether this run measures the ceiling: ready batches go into the training in place of its input."""
    return "--free-input" in sys.argv


def write_truth(**truth):
    """Writes what is true of this run, to the file that PLANTED_TRUTH names or to standard output."""
    line = json.dumps(truth | {"script_s": time.perf_counter() - BEGAN})
    path = os.environ.get("PLANTED_TRUTH")
    if path:
        with open(path, "w") as file:
            file.write(line + "\n")
    else:
        print(line)
