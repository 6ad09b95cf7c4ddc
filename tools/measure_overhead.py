"""Measures what pipeprof costs on this machine, and prints a table in Markdown.

Every comparison runs in alternating pairs within this one process, and what is printed are medians of
the pairs' ratios or differences: machines are shared and noisy, single times mean nothing.
"""

import argparse
import contextlib
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one thread that computes is steadier than two

import numpy as np

import pipeprof
from pipeprof.analysis.findings import Findings
from pipeprof.capture.probes.keras.callback_calls import CallbackCalls
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python import generator_chains
from pipeprof.capture.probes.stacks.py_spy import Recording
from pipeprof.capture.probes.system.threads import SAMPLE_HZ
from pipeprof.capture.recorder import ring
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.session import profile
from pipeprof.clock import now_ns
from pipeprof.host import machine
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.span import SpanKind, Spans
from pipeprof.surfaces.chrome import to_chrome
from pipeprof.surfaces.xplane import to_xspace

Row = tuple[str, str, str]
LOOPS = 4_000

# Disturbances of a shared machine last for seconds: many short pairs are better than a few long ones.
FIT_STEPS, FIT_PAIRS = 150, 5
LOOP_PAIRS = 3


def main() -> None:
    """Runs all measurements, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--pairs", type=int, default=9, help="pairs of each slow comparison")
    options = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as logdir:
        for name in options.names or MEASUREMENTS:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            rows += MEASUREMENTS[name](Path(logdir), options.pairs)
    print("| what | measured | goal |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    versions = ", ".join(f"{name} {version}" for name, version in machine.loaded_versions().items())
    load = os.getloadavg()[0]
    print(
        f"\n{versions}; {platform.system()} {platform.machine()}, {machine.core_count()} cores, "
        f"load {load:.1f}; medians of at least {options.pairs} alternating pairs, and in parentheses "
        "where they lie nine times out of ten."
    )


# Single events.


def events(logdir: Path, pairs: int) -> list[Row]:
    """The cost of one event, against two bare clock reads, and of a stage, with a profile on and off."""
    write = ring.writer(ring.anonymous_ring(pid=os.getpid()))

    def bare(index: int) -> int:
        return index

    staged = pipeprof.stage("overhead")(bare)
    block = pipeprof.stage("block")

    loops = _loops(write, bare, staged, block)
    off = _each_ns(pairs * 3, loops)
    with profile(logdir=logdir, sample_hz=0):
        on = _each_ns(pairs, {name: loops[name] for name in ("bare", "staged")})
    clocks, event = (off[name] - off["empty"] for name in ("clocks", "event"))
    nothing = off["nothing"] - off["empty"]
    return [
        ("two bare clock reads", f"{clocks:.0f} ns", ""),
        (
            "recording one event, clock reads included",
            f"{event:.0f} ns, {event / clocks:.1f} times the reads",
            "300 ns or 3.5 times",
        ),
        (
            "a call of a function with `@stage`, no profile on",
            f"{off['staged'] - off['bare']:.0f} ns",
            "100 ns",
        ),
        (
            f"`with stage(…)`, no profile on (`with nullcontext()`: {nothing:.0f} ns)",
            f"{off['block'] - off['empty']:.0f} ns",
            "",
        ),
        (
            "a call of a function with `@stage`, profile on",
            f"{on['staged'] - on['bare']:.0f} ns",
            "",
        ),
    ]


def callbacks(logdir: Path, pairs: int) -> list[Row]:
    """What it costs to time one call of a Keras callback's method."""

    class Cheap:
        def on_train_batch_end(self, batch: int, logs: object = None) -> None:
            pass

    def loop(callback: Cheap) -> Callable[[], None]:
        def call() -> None:
            for index in range(LOOPS):
                callback.on_train_batch_end(index, logs=None)

        return call

    bare, timed = Cheap(), Cheap()
    context = ProbeContext(Recorder(None), warmup=0)
    calls = CallbackCalls(context)
    context.loops.open(LoopKind.FIT)
    calls.time([timed])
    costs = [
        (_cpu_seconds(loop(timed)) - _cpu_seconds(loop(bare))) / LOOPS * 1e9
        for _ in range(pairs * 9)
    ]
    calls.release()
    context.loops.close_all()
    return [
        (
            "a call of a Keras callback's method, profile on",
            f"{statistics.median(costs):.0f} ns",
            "1,000 ns",
        )
    ]


def _loops(
    write: ring.Write,
    bare: Callable[[int], int],
    staged: Callable[[int], int],
    block: contextlib.AbstractContextManager[None],
) -> dict[str, Callable[[], None]]:
    nothing = contextlib.nullcontext()

    def loop_empty() -> None:
        for _ in range(LOOPS):
            pass

    def loop_clocks() -> None:
        for _ in range(LOOPS):
            now_ns()
            now_ns()

    def loop_event() -> None:
        for _ in range(LOOPS):
            start = now_ns()
            write(1, start, now_ns(), 0, 0)

    def loop_calls(function: Callable[[int], int]) -> None:
        for index in range(LOOPS):
            function(index)

    def loop_blocks(context: contextlib.AbstractContextManager[None]) -> None:
        for _ in range(LOOPS):
            with context:
                pass

    return {
        "empty": loop_empty,
        "clocks": loop_clocks,
        "event": loop_event,
        "bare": lambda: loop_calls(bare),
        "staged": lambda: loop_calls(staged),
        "block": lambda: loop_blocks(block),
        "nothing": lambda: loop_blocks(nothing),
    }


def _each_ns(rounds: int, loops: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Median time of one pass of each loop, all of them in turn in every round."""
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            start = time.perf_counter_ns()
            loop()
            times[name].append((time.perf_counter_ns() - start) / LOOPS)
    return {name: statistics.median(part) for name, part in times.items()}


# Whole loops.


def generator_loop(logdir: Path, pairs: int) -> list[Row]:
    """The slow-down of a plain loop over a generator whose batches take 1 ms to make."""
    matrix = np.random.default_rng(0).random((64, 64))
    # In one array, because the address of a new one decides how fast it is made.
    batch = np.empty_like(matrix)

    def multiply() -> None:
        np.matmul(matrix, matrix, out=batch)

    repeats = _repeats_for(multiply, 1e-3)

    def batches(count: int = 2000) -> Iterator[np.ndarray]:
        for _ in range(count):
            for _ in range(repeats):
                multiply()
            yield batch

    def bare() -> float:
        return _cpu_seconds(lambda: [None for _ in batches()])

    def watched() -> float:
        with profile(batches(), logdir=logdir) as prof:
            return _cpu_seconds(lambda: [None for _ in prof.dataset])

    return [
        (
            "CPU time of a loop over 2,000 generated batches of 1 ms",
            _slow_down(bare, watched, pairs * LOOP_PAIRS),
            "1 %",
        )
    ]


def tfdata_fit(logdir: Path, pairs: int) -> list[Row]:
    """The slow-down of a `fit` on tf.data, beside TensorFlow's own profiler."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).random((300, 16, 16, 3), np.float32)
    labels = np.zeros(300, np.int64)
    dataset = (
        tf.data.Dataset.from_tensor_slices((images, labels))
        .repeat()
        .map(
            lambda image, label: (tf.image.random_flip_left_right(image) * 2 - 1, label),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .batch(16)
        .prefetch(tf.data.AUTOTUNE)
    )
    model = keras.Sequential(
        [
            keras.layers.Conv2D(16, 3),
            keras.layers.Conv2D(8, 3),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))

    def fit(data: tf.data.Dataset) -> float:
        return _seconds(lambda: model.fit(data, steps_per_epoch=FIT_STEPS, verbose=0))

    def watched() -> float:
        with profile(dataset, logdir=logdir) as prof:
            return fit(prof.dataset)

    def traced() -> float:
        with tempfile.TemporaryDirectory() as folder:
            tf.profiler.experimental.start(folder)
            try:
                return fit(dataset)
            finally:
                tf.profiler.experimental.stop(save=False)

    fit(dataset)
    step_ms = fit(dataset) / FIT_STEPS * 1e3
    what = f"`fit` on tf.data, {FIT_STEPS} steps of {step_ms:.1f} ms"
    return [
        (what, _slow_down(lambda: fit(dataset), watched, pairs * FIT_PAIRS), "1 %"),
        (
            f"{what}, under TensorFlow's profiler",
            _slow_down(lambda: fit(dataset), traced, pairs),
            "",
        ),
    ]


def workers_fit(logdir: Path, pairs: int) -> list[Row]:
    """The slow-down of a `fit` on a PyDataset whose two worker processes send batches of 1 MB."""
    import keras

    class Batches(keras.utils.PyDataset):
        def __init__(self) -> None:
            super().__init__(workers=2, use_multiprocessing=True)
            self.batch = np.zeros((64, 4096), np.float32), np.zeros((64, 1), np.float32)

        def __len__(self) -> int:
            return FIT_STEPS

        def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
            time.sleep(0.01)
            return self.batch

    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    def bare() -> float:
        return _seconds(lambda: model.fit(Batches(), verbose=0))

    def watched() -> float:
        with profile(Batches(), logdir=logdir) as prof:
            return _seconds(lambda: model.fit(prof.dataset, verbose=0))

    bare()
    step_ms = bare() / FIT_STEPS * 1e3
    return [
        (
            f"`fit` on 2 worker processes, {FIT_STEPS} steps of {step_ms:.1f} ms with 1 MB each",
            _slow_down(bare, watched, pairs * FIT_PAIRS),
            "1 %",
        )
    ]


def _slow_down(bare: Callable[[], float], watched: Callable[[], float], pairs: int) -> str:
    bare()
    watched()
    ratios = []
    for number in range(pairs):
        # They take turns in going first, so that a drift affects both alike.
        if number % 2:
            with_it, without = watched(), bare()
        else:
            without, with_it = bare(), watched()
        ratios.append(with_it / without - 1)
    low, high = _where_the_median_lies(sorted(ratios))
    return f"{statistics.median(ratios):+.1%} ({low:+.1%} to {high:+.1%})"


def _where_the_median_lies(ordered: list[float]) -> tuple[float, float]:
    """An interval that holds the true median with 90 % confidence (by the sign test)."""
    count = len(ordered)
    chances = accumulate(math.comb(count, above) / 2**count for above in range(count))
    outside = sum(1 for chance in chances if chance <= 0.05)
    lowest = max(outside - 1, 0)
    return ordered[lowest], ordered[-1 - lowest]


def _seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _cpu_seconds(action: Callable[[], object]) -> float:
    """CPU time of the whole process: what the collector's thread uses counts as well."""
    start = time.process_time()
    action()
    return time.process_time() - start


def _repeats_for(action: Callable[[], object], seconds: float) -> int:
    for _ in range(2):  # the first round warms up
        taken = _seconds(lambda: [action() for _ in range(3000)]) / 3000
    return max(1, round(seconds / taken))


def many_threads(logdir: Path, pairs: int) -> list[Row]:
    """The cost of reading the CPU time of 200 threads, as CPU time of the reading thread."""
    leave = threading.Event()
    others = [threading.Thread(target=leave.wait, daemon=True) for _ in range(200)]
    for other in others:
        other.start()

    def share(sample_hz: float) -> float:
        with profile(logdir=logdir, sample_hz=sample_hz) as prof:
            leave.wait(20.0)
        run, overhead = prof.result.run, prof.result.overhead
        return overhead.collector_ns / (run.end_ns - run.start_ns)

    try:
        shares = [share(SAMPLE_HZ) - share(0) for _ in range(max(pairs // 3, 3))]
    finally:
        leave.set()
        for other in others:
            other.join()
    return [
        (
            "reading the CPU time of 200 threads for 20 s, of one core",
            f"{statistics.median(shares):.2%} ({min(shares):.2%} to {max(shares):.2%})",
            "0.5 %",
        )
    ]


def stacks(logdir: Path, pairs: int) -> list[Row]:
    """The cost of a sampling window of py-spy: for Python code beside it, and its own CPU time."""
    numbers = range(2_000_000)
    spent: list[float] = []

    def work() -> float:
        return _cpu_seconds(lambda: [number * number % 7 for number in numbers])

    def watched() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        windows = [Recording(os.getpid(), seconds=2, gil=gil) for gil in (False, True)]
        taken = work()
        for window in windows:
            window.collect()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return taken

    slower = _slow_down(work, watched, pairs)
    own = f"{statistics.median(spent):.2f} s"
    return [
        ("CPU time of Python code while `--stacks` looks (5 windows of 2 s a run)", slower, ""),
        ("CPU time of py-spy in a window of `--stacks`", own, ""),
    ]


def inner_generators(logdir: Path, pairs: int) -> list[Row]:
    """The cost of timing a generator inside a generator, where the interpreter supports it."""
    name = "timing an element of an inner generator (Python 3.12 and later)"
    if not hasattr(sys, "monitoring"):
        return [(name, "not timed by this Python", "")]
    least_ns = 1.05 * generator_chains.LEAST_NS

    def inner() -> Iterator[int]:
        for number in range(LOOPS):
            until = now_ns() + least_ns
            while now_ns() < until:
                pass
            yield number

    def outer() -> Iterator[int]:
        yield from inner()

    def seconds(batches: Iterator[int]) -> float:
        with profile(batches, logdir=logdir, sample_hz=0) as prof:
            return _cpu_seconds(lambda: [None for _ in prof.dataset])

    def bare() -> float:  # the same work in the generator itself, which is timed anyway
        return seconds(inner())

    def watched() -> float:
        return seconds(outer())

    return [
        (
            f"{name}: the shortest that is timed, {generator_chains.LEAST_NS / 1e3:.0f} us",
            _slow_down(bare, watched, pairs),
            "",
        )
    ]


# Size.


def memory(logdir: Path, pairs: int) -> list[Row]:
    """Memory after a million events beyond that after ten thousand, each in a fresh process."""
    few, many = (_rss_after(count, logdir) for count in (10_000, 1_000_000))
    return [
        (
            "memory after 10⁶ events, beyond that after 10⁴",
            f"{(many - few) / 2**20:.1f} MB",
            "16 MB",
        )
    ]


_MEMORY_PROGRAM = """
import sys, time
import psutil
import pipeprof

@pipeprof.stage("overhead")
def work():
    pass

with pipeprof.profile(logdir=sys.argv[1], sample_hz=0):
    for number in range(int(sys.argv[2])):
        work()
        if number % 10_000 == 0:
            time.sleep(0.06)  # the collector keeps up: nothing is dropped
    time.sleep(2.5)  # two passes of the collector
    print(psutil.Process().memory_info().rss)
"""


def _rss_after(events: int, logdir: Path) -> int:
    command = [sys.executable, "-c", _MEMORY_PROGRAM, str(logdir), str(events)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def report(logdir: Path, pairs: int) -> list[Row]:
    """How long `pipeprof report` takes on a run of a hundred thousand steps."""
    with profile(iter(range(100_000)), logdir=logdir, name="long") as prof:
        for number in prof.dataset:
            if number % 2_000 == 0:
                time.sleep(0.06)  # the collector keeps up: no step is dropped
    steps = prof.result.loops[0].step_count
    command = [
        sys.executable,
        "-m",
        "pipeprof",
        "report",
        str(logdir),
        "--run",
        prof.result.run.name,
    ]
    times = [
        _seconds(lambda: subprocess.run(command, check=True, capture_output=True))
        for _ in range(pairs)
    ]
    return [
        (
            f"`pipeprof report` on a run of {steps:,} steps",
            f"{statistics.median(times):.2f} s",
            "1 s",
        )
    ]


def traces(logdir: Path, pairs: int) -> list[Row]:
    """How long it takes to write a trace of a hundred thousand intervals, nested two deep."""
    with profile(iter(range(100)), logdir=logdir, sample_hz=0) as prof:
        for _ in prof.dataset:
            pass
    count = 100_000
    outer = np.arange(count) % 2
    start_ns = prof.result.run.start_ns + np.arange(count) // 2 * 1_000 + 100 * outer
    spans = Spans(
        kind=np.full(count, SpanKind.WORK, np.int64),
        subject=np.zeros(count, np.int64),
        lane=np.zeros(count, np.int64),
        start_ns=start_ns,
        end_ns=start_ns + 900 - 200 * outer,
        inner_ns=np.zeros(count, np.int64),
    )
    findings = replace(prof.findings, profile=replace(prof.result, spans=spans))
    writers: dict[str, Callable[[Findings], object]] = {"Chrome": to_chrome, "XSpace": to_xspace}
    return [
        (
            f"writing a trace of 10⁵ events ({name})",
            f"{statistics.median(_seconds(lambda: write(findings)) for _ in range(pairs)):.2f} s",  # noqa: B023
            "2 s",
        )
        for name, write in writers.items()
    ]


MEASUREMENTS: dict[str, Callable[[Path, int], list[Row]]] = {
    "events": events,
    "callbacks": callbacks,
    "generator": generator_loop,
    "tfdata": tfdata_fit,
    "workers": workers_fit,
    "threads": many_threads,
    "stacks": stacks,
    "inner_generators": inner_generators,
    "memory": memory,
    "report": report,
    "traces": traces,
}

if __name__ == "__main__":
    main()
