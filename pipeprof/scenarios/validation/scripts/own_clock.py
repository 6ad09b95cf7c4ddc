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
        self.epochs = 0

    def steps(self, batches):
        """Yields the batches; the time until one comes is the step's waiting."""
        self.epochs += 1
        begin, first = time.perf_counter(), True
        for batch in batches:
            got = time.perf_counter()
            yield batch
            end = time.perf_counter()
            self.add(got - begin, end - begin, first=first)
            begin, first = time.perf_counter(), False

    def add(self, wait, step, *, first=False):
        """One step of so many seconds, of which it waited so many; ``first``: of an epoch."""
        self._waits.append(wait)
        self._steps.append(step)
        self._first.append(first)

    def truth(self):
        """What a report should say of this loop."""
        return summary(self._waits, self._steps, self._first) | {"epochs": max(1, self.epochs)}


def summary(waits, steps, first):
    """Sums in s, and means in ms without each epoch's first step and the first five."""
    inner = [i for i, is_first in enumerate(first) if not is_first]
    steady = [i for i in inner if i >= 5]
    return {
        "steps": len(steps),
        "wait_s": sum(waits[i] for i in inner),
        "first_batches_s": sum(wait for wait, is_first in zip(waits, first) if is_first),
        "epoch_starts_s": sum(waits[i] for i in range(1, len(waits)) if first[i]),
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
