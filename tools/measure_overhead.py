"""Measures what pipeprof costs on this machine, and prints a table in Markdown.

Every comparison runs in alternating pairs within this one process, and what is printed are medians of
the pairs' ratios or differences: machines are shared and noisy, single times mean nothing. Other profilers
do the same work in the same way.
"""

import argparse
import contextlib
import fcntl
import os
import platform
import pty
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TextIO

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # one thread that computes is steadier than two

import numpy as np
from overhead_fingerprints import fingerprints
from overhead_fits import arrays_fit, tfdata_fit, workers_fit
from overhead_pairs import Pairs, Times, as_number, as_percent, differences, ratios
from overhead_peers import installed_peers

import pipeprof
from pipeprof.analysis.findings.findings import Findings
from pipeprof.capture.probes.keras.callback_calls import CallbackCalls
from pipeprof.capture.probes.loops.host_sampler import HostSampler
from pipeprof.capture.probes.loops.sampling_needs import SamplingNeed
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python import generator_chains
from pipeprof.capture.probes.stacks.py_spy import Recording
from pipeprof.capture.probes.system.threads import SAMPLE_HZ
from pipeprof.capture.recorder import ring
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.session import profile
from pipeprof.clock import Clock, now_ns
from pipeprof.host import machine
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.span import SpanKind, Spans
from pipeprof.surfaces.timelines.chrome import to_chrome
from pipeprof.surfaces.timelines.xplane import to_xspace

Row = tuple[str, str, str]
LOOPS = 4_000

# Disturbances of a shared machine last for seconds: many short pairs are better than a few long ones.
LOOP_PAIRS = 3
BATCHES, PIECE_S = 20_000, 12e-6


def main() -> None:
    """Runs all measurements, or those named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--pairs", type=int, default=9, help="pairs of each slow comparison")
    parser.add_argument(
        "--until",
        action="store_true",
        help="go on with each `fit` and loop until its interval is one point to each side",
    )
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="at most so long for each comparison"
    )
    parser.add_argument("--keep", type=Path, metavar="FILE", help="keep the pairs there, and go on")
    options = parser.parse_args()
    rows: list[Row] = []
    pairs = Pairs(
        least=options.pairs, until_narrow=options.until, seconds=options.seconds, file=options.keep
    )
    with tempfile.TemporaryDirectory() as logdir:
        for name in options.names or MEASUREMENTS:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            rows += MEASUREMENTS[name](Path(logdir), pairs)
    print("| what | measured | goal |\n|---|---|---|")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    versions = ", ".join(f"{name} {version}" for name, version in machine.loaded_versions().items())
    load = os.getloadavg()[0]
    print(
        f"\n{versions}; {platform.system()} {platform.machine()}, {_processor()}, "
        f"{machine.core_count()} cores, load {load:.1f}; medians of alternating pairs, and in parentheses "
        "where they lie nine times out of ten."
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


# Single events.


def events(logdir: Path, pairs: Pairs) -> list[Row]:
    """The cost of one event, against two bare clock reads, and of a stage, with a profile on and off."""
    write = ring.writer(ring.anonymous_ring(pid=os.getpid()))

    def bare(index: int) -> int:
        return index

    def plain(*args: int, **kwargs: int) -> int:
        return bare(*args, **kwargs)

    staged = pipeprof.stage("overhead")(bare)
    block = pipeprof.stage("block")

    loops = _loops(write, bare, plain, staged, block)
    off = _each_ns(pairs.least * 9, loops)
    with profile(logdir=logdir, sample_hz=0):
        on = _each_ns(pairs.least * 3, {name: loops[name] for name in ("bare", "staged")})
    clocks, event = (off[name] - off["empty"] for name in ("clocks", "event"))
    nothing = off["nothing"] - off["empty"]
    inactive, call = (off[name] - off["empty"] for name in ("staged", "plain"))
    return [
        ("two bare clock reads", f"{clocks:.0f} ns", ""),
        (
            "recording one event, clock reads included",
            f"{event:.0f} ns, {event / clocks:.2f} times the reads",
            "3.0 times",
        ),
        (
            "a call of a function with `@stage`, no profile on",
            f"{inactive:.0f} ns, {inactive / call:.2f} times that through a plain Python function",
            "1.2 times",
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


def callbacks(logdir: Path, pairs: Pairs) -> list[Row]:
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
        for _ in range(pairs.least * 9)
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


def sampler(logdir: Path, pairs: Pairs) -> list[Row]:
    """What the sampler of the training thread takes beside Python code that it always has to look at."""
    shares = []
    for _ in range(max(pairs.least // 3, 1)):
        looked_at = HostSampler(Recorder(None), SamplingNeed, threading.get_ident)
        looked_at.start()
        begin_s = until_s = time.monotonic()
        while until_s - begin_s < 10.0:
            sum(range(1000))
            until_s = time.monotonic()
        looked_at.stop()
        shares.append(looked_at.cpu_ns / 1e9 / (until_s - begin_s))
    return [
        (
            "sampling the training thread where no clock shows what it does, of one core",
            f"{statistics.median(shares):.2%}",
            "0.3 %",
        )
    ]


@contextlib.contextmanager
def _terminal() -> Iterator[TextIO]:
    """A terminal of the usual size, of which nobody sees what is written."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def drain() -> None:
        with contextlib.suppress(OSError):  # the terminal was closed
            while os.read(master, 65_536):
                pass

    reader = threading.Thread(target=drain)
    reader.start()
    try:
        with os.fdopen(slave, "w") as stream:
            yield stream
    finally:
        reader.join()
        os.close(master)


def live(logdir: Path, pairs: Pairs) -> list[Row]:
    """What `--live` takes of a core, beside the profile that it shows."""
    from pipeprof.cli.live import EVERY_S, LiveView

    def share(shown: bool) -> Times:
        def batches() -> Iterator[np.ndarray]:
            for _ in range(1_500):
                time.sleep(0.01)
                yield np.zeros(1)

        session = profile(batches(), logdir=logdir)
        with _terminal() as terminal:
            if shown:
                session.show_while_on(EVERY_S, LiveView(terminal).show)
            with session as prof:
                begin_s = time.monotonic()
                cpu_s = _cpu_seconds(lambda: [None for _ in prof.dataset])
                return (cpu_s / (time.monotonic() - begin_s),)

    found = pairs.compare("live", lambda: share(False), lambda: share(True))
    shares = differences(found, of=0.01)
    return [("`--live`, of one core", as_number(shares, "%", 2), "1 %")]


def _loops(
    write: ring.Write,
    bare: Callable[[int], int],
    plain: Callable[[int], int],
    staged: Callable[[int], int],
    block: contextlib.AbstractContextManager[None],
) -> dict[str, Callable[[], None]]:
    nothing = contextlib.nullcontext()

    def loop_empty() -> None:
        for _ in range(LOOPS):
            pass

    # What is called is a local variable everywhere: to look it up is not what is measured.
    def loop_clocks(clock: Clock = now_ns) -> None:
        for _ in range(LOOPS):
            clock()
            clock()

    def loop_event(clock: Clock = now_ns, write: ring.Write = write) -> None:
        for _ in range(LOOPS):
            start = clock()
            write(1, start, clock(), 0, 0)

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
        "plain": lambda: loop_calls(plain),
        "staged": lambda: loop_calls(staged),
        "block": lambda: loop_blocks(block),
        "nothing": lambda: loop_blocks(nothing),
    }


def _each_ns(rounds: int, loops: dict[str, Callable[[], None]]) -> dict[str, float]:
    """Time of one pass of each loop, all of them in turn in every round: of rounds without disturbance.

    What others do on the machine only makes a round longer, so that the lower quartile is steadier.
    """
    times: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(rounds):
        for name, loop in loops.items():
            start = time.perf_counter_ns()
            loop()
            times[name].append((time.perf_counter_ns() - start) / LOOPS)
    return {name: statistics.quantiles(part, n=4)[0] for name, part in times.items()}


# Whole loops.


def small_batches(logdir: Path, pairs: Pairs) -> list[Row]:
    """A loop over many small batches from generators in a chain, and the same under other profilers."""
    piece = _worker(PIECE_S)

    def read() -> Iterator[np.ndarray]:
        for _ in range(BATCHES):
            yield piece()

    def decode(rows: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for row in rows:
            piece()
            yield row

    def augment(rows: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
        for row in rows:
            piece()
            yield row

    def times(batches: Iterator[np.ndarray]) -> Times:
        wall_s, thread_s, process_s = time.perf_counter(), time.thread_time(), time.process_time()
        for _ in batches:
            pass
        process_s = time.process_time() - process_s
        return process_s, time.thread_time() - thread_s, time.perf_counter() - wall_s

    def bare() -> Times:
        return times(augment(decode(read())))

    def watched() -> Times:
        with profile(augment(decode(read())), logdir=logdir) as prof:
            return times(prof.dataset)

    found = pairs.compare("small batches", bare, watched, narrow=True, times=LOOP_PAIRS)
    each_us = statistics.median(without[1] for without, _ in found) / BATCHES * 1e6
    what = f"a loop over {BATCHES:,} batches of {each_us:.0f} us from three generators in a chain"
    per_batch = BATCHES / 1e6
    rows: list[Row] = [
        (
            f"{what}: the user's thread, a batch",
            as_number(differences(found, 1, of=per_batch), "us"),
            "6 us",
        ),
        ("all threads, a batch", as_number(differences(found, 0, of=per_batch), "us"), "8 us"),
        ("CPU time of its thread", as_percent(ratios(found, 1)), "25 %"),
        ("its time", as_percent(ratios(found, 2)), "25 %"),
    ]
    for name, peer in installed_peers(tensorflow=False).items():
        if peer is None:
            rows.append((f"its time under {name}", "not installed here", ""))
            continue

        def under(peer: Callable[[], contextlib.AbstractContextManager[None]] = peer) -> Times:
            with peer():
                return bare()

        beside = pairs.compare(f"small batches {name}", bare, under)
        rows.append((f"its time under {name}", as_percent(ratios(beside, 2)), ""))
    return rows


def generator_loop(logdir: Path, pairs: Pairs) -> list[Row]:
    """The slow-down of a plain loop over a generator whose batches take 1 ms to make."""
    piece = _worker(1e-3)

    def batches(count: int = 1000) -> Iterator[np.ndarray]:
        for _ in range(count):
            yield piece()

    def bare() -> Times:
        return (_cpu_seconds(lambda: [None for _ in batches()]),)

    def watched() -> Times:
        with profile(batches(), logdir=logdir) as prof:
            return (_cpu_seconds(lambda: [None for _ in prof.dataset]),)

    found = pairs.compare("generator", bare, watched, narrow=True, times=LOOP_PAIRS)
    what = "CPU time of a loop over 1,000 generated batches of 1 ms"
    return [(what, as_percent(ratios(found)), "1 %")]


def _worker(seconds: float) -> Callable[[], np.ndarray]:
    """A function that computes for about so long, and gives always the same array."""
    matrix = np.random.default_rng(0).random((48, 48))
    # In one array, because the address of a new one decides how fast it is made.
    batch = np.empty_like(matrix)

    def multiply() -> None:
        np.matmul(matrix, matrix, out=batch)

    repeats = _repeats_for(multiply, seconds)

    def work() -> np.ndarray:
        for _ in range(repeats):
            multiply()
        return batch

    return work


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
    """How often something is to be done for so much CPU time; on a busy machine the clock says more."""
    taken = []
    for _ in range(5):
        begin_s = time.thread_time()
        for _ in range(1000):
            action()
        taken.append((time.thread_time() - begin_s) / 1000)
    return max(1, round(seconds / min(taken)))


def many_threads(logdir: Path, pairs: Pairs) -> list[Row]:
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
        shares = [share(SAMPLE_HZ) - share(0) for _ in range(max(pairs.least // 3, 3))]
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


def stacks(logdir: Path, pairs: Pairs) -> list[Row]:
    """The cost of a sampling window of py-spy: for Python code beside it, and its own CPU time."""
    numbers = range(2_000_000)
    spent: list[float] = []

    def work() -> Times:
        return (_cpu_seconds(lambda: [number * number % 7 for number in numbers]),)

    def watched() -> Times:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        windows = [Recording(os.getpid(), seconds=2, gil=gil) for gil in (False, True)]
        taken = work()
        for window in windows:
            window.collect()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return taken

    slower = as_percent(ratios(pairs.compare("stacks", work, watched)))
    own = f"{statistics.median(spent):.2f} s"
    return [
        ("CPU time of Python code while `--stacks` looks (5 windows of 2 s a run)", slower, ""),
        ("CPU time of py-spy in a window of `--stacks`", own, ""),
    ]


def inner_generators(logdir: Path, pairs: Pairs) -> list[Row]:
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

    def bare() -> Times:  # the same work in the generator itself, which is timed anyway
        return (seconds(inner()),)

    def watched() -> Times:
        return (seconds(outer()),)

    return [
        (
            f"{name}: the shortest that is timed, {generator_chains.LEAST_NS / 1e3:.0f} us",
            as_percent(ratios(pairs.compare("inner generators", bare, watched))),
            "",
        )
    ]


# Begin and end of a run.


_FIT_PROGRAM = """
import os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras
import numpy as np
imported = time.monotonic(), time.process_time()
features, labels = np.zeros((6400, 64), np.float32), np.zeros(6400)
model = keras.Sequential([keras.layers.Dense(256, "relu"), keras.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(features, labels, batch_size=32, epochs=int(sys.argv[1]), verbose=0)
print(*imported, time.monotonic(), time.process_time())
"""

_LONG_PROGRAM = """
import contextlib, sys, time
import numpy as np
import pipeprof

def batches():
    batch = np.zeros((4, 4))
    for number in range(100_000):
        if number % 1_000 == 0:
            time.sleep(0.02)  # the collector keeps up
        yield batch

prof = pipeprof.profile(batches(), logdir=sys.argv[1]) if len(sys.argv) > 1 else None
with prof or contextlib.nullcontext():
    for _ in prof.dataset if prof else batches():
        pass
    print(time.monotonic())
if prof:
    print(prof.report())
"""


def ends(logdir: Path, pairs: Pairs) -> list[Row]:
    """What `pipeprof run` takes before a script trains and after it has ended."""
    program = logdir / "fit.py"
    program.write_text(_FIT_PROGRAM)
    long = logdir / "long.py"
    long.write_text(_LONG_PROGRAM)
    run = [sys.executable, "-m", "pipeprof", "run", "--logdir", str(logdir)]
    # Compiled files are kept, as they are of a package that was installed.
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def spent(*command: str) -> Times:
        """In all, until the script has imported, while it trains, and after it: wall and CPU times."""
        used_s = _spent()[0]
        start_s = time.monotonic()
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=compiled)
        all_s, all_cpu_s = time.monotonic() - start_s, _spent()[0] - used_s
        imported_s, imported_cpu_s, trained_s, trained_cpu_s = map(float, done.stdout.split())
        return (
            all_s,
            all_cpu_s,
            imported_s - start_s,
            imported_cpu_s,
            trained_s - imported_s,
            trained_cpu_s - imported_cpu_s,
            start_s + all_s - trained_s,
            all_cpu_s - trained_cpu_s,
        )

    def after(*command: str) -> Times:
        """From where the script ends to where its process does."""
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=compiled)
        return (time.monotonic() - float(done.stdout.split()[0]),)

    found = pairs.compare(
        "ends",
        lambda: spent(sys.executable, str(program), "20"),
        lambda: spent(*run, str(program), "20"),
    )
    script_s = statistics.median(bare[0] for bare, _ in found)
    clocks = [
        (f"{part}{clock}", goal if not clock else "")
        for part, goal in (
            ("in all", "0.4 s"),
            ("until its imports are done", ""),
            ("while it trains", ""),
            ("after that", ""),
        )
        for clock in ("", ", CPU time")
    ]
    longer = pairs.compare(
        "end of many steps",
        lambda: after(sys.executable, str(long)),
        lambda: after(sys.executable, str(long), str(logdir)),
    )
    return [
        *(
            (
                f"`pipeprof run` of a script of {script_s:.1f} s that trains with Keras, {part}",
                as_number(differences(found, clock), "s", 2),
                goal,
            )
            for clock, (part, goal) in enumerate(clocks)
        ),
        (
            "end of a run of 10⁵ steps: sums, files, TensorBoard's trace, report",
            as_number(differences(longer), "s", 2),
            "1 s",
        ),
    ]


def _spent() -> Times:
    """CPU time of all programs that were started and have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (spent.ru_utime + spent.ru_stime,)


# Size.


def memory(logdir: Path, pairs: Pairs) -> list[Row]:
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


def report(logdir: Path, pairs: Pairs) -> list[Row]:
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
        for _ in range(pairs.least)
    ]
    return [
        (
            f"`pipeprof report` on a run of {steps:,} steps",
            f"{statistics.median(times):.2f} s",
            "1 s",
        )
    ]


def traces(logdir: Path, pairs: Pairs) -> list[Row]:
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
            f"{statistics.median(_seconds(lambda: write(findings)) for _ in range(pairs.least)):.2f} s",  # noqa: B023
            "2 s",
        )
        for name, write in writers.items()
    ]


MEASUREMENTS: dict[str, Callable[[Path, Pairs], list[Row]]] = {
    "events": events,
    "callbacks": callbacks,
    "sampler": sampler,
    "live": live,
    "small_batches": small_batches,
    "generator": generator_loop,
    "tfdata": tfdata_fit,
    "arrays": arrays_fit,
    "workers": workers_fit,
    "fingerprints": fingerprints,
    "threads": many_threads,
    "stacks": stacks,
    "inner_generators": inner_generators,
    "ends": ends,
    "memory": memory,
    "report": report,
    "traces": traces,
}

if __name__ == "__main__":
    main()
