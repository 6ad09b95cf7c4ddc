"""What to do about a bottleneck, with the step time to expect where that can be estimated.

Each rule answers one way in which input can be slow. A rule says nothing where it would not help:
no workers on a CPU without a free core, no threads under the GIL, no gain that is within the noise.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from math import ceil

from pipeprof.analysis.bottleneck import beneath, predict_step_ms, sharing_with
from pipeprof.analysis.causes import BLOCKING_BELOW
from pipeprof.analysis.costs import StageCost
from pipeprof.analysis.findings import Advice
from pipeprof.analysis.placement import WORKERS_KEY, Place
from pipeprof.analysis.verdict import Verdict, cpu_work_ms
from pipeprof.analysis.verdict_kinds import Cause
from pipeprof.recording.loop import InputKind
from pipeprof.recording.profile import Profile
from pipeprof.recording.stage import Stage, StageKind

# A prediction must promise at least this to be worth a change.
_LEAST_GAIN = 1.03

# Calls that only wait cost no core; more of them at once than this is nobody's first step.
MOST_WAITING_AT_ONCE = 16

_HELPED_BY_WORKERS = (Cause.SERIAL, Cause.GIL, Cause.CPU, Cause.TOO_FEW_WORKERS)

_PYTHON_INPUTS = (InputKind.GENERATOR, InputKind.ITERATOR, InputKind.SEQUENCE, InputKind.LOADER)


# Behind these the elements are groups of those before: a shuffle does not move across them as it is.
_REGROUPING = ("batch", "window", "flat")


# Sequences that Keras makes itself: whoever calls `flow` cannot give them workers there.
_MADE_BY_KERAS = ("NumpyArrayIterator", "DirectoryIterator", "DataFrameIterator")


def give_advice(verdict: Verdict) -> tuple[Advice, ...]:
    """What to do, best first: what is sure to be possible, then what depends, then what is open."""
    if not verdict.waits_for_input or verdict.worst is None or not verdict.ideal_ms:
        return (*_longer_epochs(verdict), *_own_gil(verdict), *_autotune(verdict))
    rules = (_longer_epochs, _prefetch, _workers, _longer_queue, _parallel_calls, _threads)
    sure = [advice for rule in rules for advice in rule(verdict)]
    sure.sort(key=lambda advice: advice.predicted_step_ms or 0.0)
    return (
        *sure,
        *_cache(verdict, verdict.worst),
        *_unpredicted(verdict, verdict.worst),
        *_autotune(verdict),
    )


def _predicted(
    verdict: Verdict, action: str, summary: str, how: str, costs: Iterable[StageCost], cpu_ms: float
) -> Iterator[Advice]:
    if verdict.step_ms is None or not verdict.ideal_ms:
        return
    # However it is moved, no more can be saved than the work that was seen.
    at_least = verdict.step_ms - verdict.input_ms
    step_ms = max(predict_step_ms(costs, verdict.ideal_ms, cpu_ms), at_least)
    yield from _worthwhile(verdict.step_ms, action, summary, how, step_ms)


def _worthwhile(
    now_ms: float, action: str, summary: str, how: str, step_ms: float
) -> Iterator[Advice]:
    if step_ms > 0 and now_ms / step_ms >= _LEAST_GAIN:
        yield Advice(
            action=action,
            summary=summary,
            how=how,
            predicted_step_ms=step_ms,
            predicted_speedup=now_ms / step_ms,
        )


def _longer_epochs(verdict: Verdict) -> Iterator[Advice]:
    if (
        verdict.cause is not Cause.EPOCH_START
        or verdict.measured.times.step is None
        or verdict.step_ms is None
    ):
        return
    if verdict.measured.loop.input.kind is InputKind.SEQUENCE:
        how = (
            "def __len__(self):\n"
            "    return PASSES * self.batches_per_pass\n\n"
            "def __getitem__(self, index):\n"
            "    index %= self.batches_per_pass"
        )
    else:
        how = "model.fit(dataset.repeat(), steps_per_epoch=STEPS, epochs=EPOCHS)"
    yield from _worthwhile(
        verdict.step_ms,
        "longer_epochs",
        "Start over less often: let one epoch be several passes over the data.",
        how,
        max(verdict.measured.times.step.mean, verdict.ideal_ms or 0.0),
    )


def _prefetch(verdict: Verdict) -> Iterator[Advice]:
    """Work that runs within the wait of the loop can run beside it."""
    worst = verdict.worst
    if worst is None or worst.place.ahead or verdict.cause is Cause.EPOCH_START:
        return
    how = "dataset = dataset.prefetch(tf.data.AUTOTUNE)"
    if verdict.measured.loop.input.kind is not InputKind.TF_DATA:
        how = (
            "dataset = tf.data.Dataset.from_generator(batches, output_signature=SIGNATURE)\n" + how
        )
    beside = Place(key=("prefetch", ()), parallelism=1.0, ahead=True)
    moved = tuple(
        cost if cost.place.ahead else replace(cost, place=beside) for cost in verdict.measured.costs
    )
    yield from _predicted(
        verdict,
        "prefetch",
        "Load the next batch while this one trains.",
        how,
        moved,
        verdict.cpu_ms,
    )


def _workers(verdict: Verdict) -> Iterator[Advice]:
    """Python work can run in several processes, or in threads where it only waits."""
    worst, ideal_ms = verdict.worst, verdict.ideal_ms
    if worst is None or not ideal_ms or verdict.measured.loop.input.kind not in _PYTHON_INPUTS:
        return
    if not worst.stage.kind.python or worst.stage.kind is StageKind.TF_DATA_PYTHON:
        return
    if verdict.measured.cpu.saturated:
        return
    waits = verdict.cause is Cause.BLOCKING
    if not waits and verdict.cause not in _HELPED_BY_WORKERS:
        return
    moved = sharing_with(worst, verdict.measured.costs)
    at_gil = verdict.cause is Cause.GIL
    moved_ms = {cost.index: _without_gil(cost) if at_gil else cost.cost_ms for cost in moved}
    most = MOST_WAITING_AT_ONCE if waits else int(verdict.measured.context.room)
    workers = min(max(ceil(sum(moved_ms.values()) / ideal_ms), 2), most)
    if workers < 2 or (not at_gil and workers <= worst.place.parallelism):
        return
    place = Place(key=WORKERS_KEY, parallelism=float(workers), ahead=True)
    costs = tuple(
        replace(cost, place=place, cost_ms=moved_ms[cost.index]) if cost.index in moved_ms else cost
        for cost in verdict.measured.costs
    )
    # The loaders of other frameworks have no worker threads that do the whole work.
    threads = waits and verdict.measured.loop.input.kind is not InputKind.LOADER
    what = "threads" if threads else "processes"
    yield from _predicted(
        verdict,
        "workers",
        f"Run {worst.stage.name} in {workers} worker {what}"
        + ("." if threads else "; the transport between processes comes on top."),
        _worker_code(verdict, workers, processes=not threads),
        costs,
        verdict.cpu_ms,
    )


def _longer_queue(verdict: Verdict) -> Iterator[Advice]:
    """Workers that may run further ahead need not pause for one slow batch."""
    if verdict.cause is not Cause.HEAD_OF_LINE:
        return
    name = verdict.measured.loop.input.name or "Batches"
    size = 2 * max(
        verdict.measured.loop.input.queue_size or 0, verdict.measured.loop.input.workers or 0, 8
    )
    yield from _predicted(
        verdict,
        "longer_queue",
        "Let more batches lie ready, so that one slow batch does not stop the workers.",
        f"{name}(…, max_queue_size={size})",
        verdict.measured.costs,
        verdict.cpu_ms,
    )


def _own_gil(verdict: Verdict) -> Iterator[Advice]:
    """Processes leave the training's GIL to the training."""
    if verdict.crowds_gil and verdict.measured.loop.input.kind in _PYTHON_INPUTS:
        workers = max(verdict.measured.loop.input.workers or 0, 2)
        yield _open(
            "processes",
            "Load in worker processes, which have a GIL of their own.",
            _worker_code(verdict, workers, processes=True),
        )


def _without_gil(cost: StageCost) -> float:
    """Its CPU time: what is left of the work of threads once they need not wait for the GIL."""
    return cost.cost_ms * (1.0 if cost.cpu_ratio is None else cost.cpu_ratio)


def _runs_keras_2(profile: Profile) -> bool:
    """Whether the workers are told to ``fit`` and not to the dataset.

    TensorFlow loads Keras 3 by itself, but nobody loads Keras 2 who does not train with it.
    """
    return "tf_keras" in profile.run.versions


def _loader_code(name: str, workers: int) -> str:
    """How PyTorch's loader and grain's are given worker processes."""
    match name:
        case "grain.DataLoader":
            return f"grain.DataLoader(…, worker_count={workers})"
        case "grain.MapDataset" | "grain.IterDataset":
            options = f"grain.MultiprocessingOptions(num_workers={workers})"
            iterable = "" if name == "grain.IterDataset" else ".to_iter_dataset()"
            return f"dataset = dataset{iterable}.mp_prefetch({options})"
    return f"{name}(…, num_workers={workers})"


def _worker_code(verdict: Verdict, workers: int, *, processes: bool) -> str:
    name = verdict.measured.loop.input.name or "Batches"
    if verdict.measured.loop.input.kind is InputKind.LOADER:
        return _loader_code(name, workers)
    call = f"workers={workers}, use_multiprocessing={processes}"
    if verdict.measured.loop.input.kind is InputKind.SEQUENCE:
        if _runs_keras_2(verdict.measured.profile):
            return f"model.fit(…, {call})"
        if name in _MADE_BY_KERAS:
            return f"data.workers, data.use_multiprocessing = {workers}, {processes}"
        return f"{name}(…, {call})"
    return (
        "class Batches(keras.utils.PyDataset):\n"
        "    def __len__(self):\n"
        "        return BATCHES_PER_EPOCH\n\n"
        "    def __getitem__(self, index):\n"
        "        return make_batch(index)  # what the generator yields\n\n"
        f"model.fit(Batches({call}))"
    )


def _parallel_calls(verdict: Verdict) -> Iterator[Advice]:
    """A tf.data transformation with a function can make several calls at once."""
    worst, ideal_ms = verdict.worst, verdict.ideal_ms
    if worst is None or not ideal_ms or not _can_call_in_parallel(worst):
        return
    waits = verdict.cause is Cause.BLOCKING
    computes = verdict.cause in (Cause.SERIAL, Cause.CPU) and not worst.stage.kind.python
    if not waits and not computes:
        return
    most = MOST_WAITING_AT_ONCE if waits else int(verdict.measured.context.room)
    calls = min(max(ceil(worst.cost_ms / ideal_ms), 2), most) if waits else most
    if calls < 2 or calls <= worst.place.parallelism:
        return
    yield from _predicted(
        verdict,
        "parallel_map",
        f"Let {worst.stage.name} make up to {calls} calls at once.",
        f"dataset.map({_name_of_function(worst)}, "
        f"num_parallel_calls={calls if waits else 'tf.data.AUTOTUNE'})",
        _with_parallel_calls(verdict, worst, calls),
        verdict.cpu_ms,
    )


def _name_of_function(cost: StageCost) -> str:
    """What to write for a stage's function in code: that of a lambda is no name."""
    name = cost.stage.function or ""
    return name if name.replace(".", "_").isidentifier() else "function"


def _can_call_in_parallel(cost: StageCost) -> bool:
    if cost.stage.kind not in (StageKind.TF_DATA, StageKind.TF_DATA_PYTHON):
        return False
    name = cost.stage.running.lower()
    return "generator" not in name and (cost.stage.function is not None or "map" in name)


def _with_parallel_calls(verdict: Verdict, worst: StageCost, calls: int) -> tuple[StageCost, ...]:
    """It gets threads of its own, and what it asks for data runs ahead with it."""
    own = Place(key=("calls", (worst.index,)), parallelism=float(calls), ahead=True)
    behind = Place(key=("behind", (worst.index,)), parallelism=1.0, ahead=True)
    below = beneath(worst, verdict.measured.costs)
    costs = []
    for cost in verdict.measured.costs:
        if cost.index == worst.index:
            costs.append(replace(cost, place=own))
        elif cost.index in below and cost.place.key == worst.place.key:
            costs.append(replace(cost, place=behind))
        else:
            costs.append(cost)
    return tuple(costs)


def _threads(verdict: Verdict) -> Iterator[Advice]:
    """Threads need no transport; Python that computes takes turns in them."""
    worst = verdict.worst
    if worst is None or verdict.cause is not Cause.TRANSPORT:
        return
    costs = []
    for cost in verdict.measured.costs:
        if cost.stage.kind is StageKind.TRANSPORT:
            continue
        computes = cost.cpu_ratio is None or cost.cpu_ratio >= BLOCKING_BELOW
        in_turns = cost.place.key == WORKERS_KEY and computes
        costs.append(
            replace(cost, place=replace(cost.place, parallelism=1.0)) if in_turns else cost
        )
    name = verdict.measured.loop.input.name or "Batches"
    workers = verdict.measured.loop.input.workers or 2
    yield from _predicted(
        verdict,
        "threads",
        "StageCost worker threads instead of processes: their batches need no transport.",
        f"{name}(…, workers={workers}, use_multiprocessing=False)",
        costs,
        0.0 if verdict.measured.context.cpu.process_ratio is None else verdict.cpu_ms,
    )


def _cache(verdict: Verdict, worst: StageCost) -> Iterator[Advice]:
    """What a stage gave in the first epoch need not be made again in the next."""
    if (
        verdict.measured.loop.input.kind is not InputKind.TF_DATA
        or verdict.measured.loop.epochs < 2
    ):
        return
    if verdict.cause is Cause.EPOCH_START:
        return
    saved = beneath(worst, verdict.measured.costs) | {worst.index}
    stages = {cost.index: cost.stage for cost in verdict.measured.costs}
    shuffles = {index for index in saved if _does(stages[index], "shuffle")}
    if shuffles:
        # A cache behind a shuffle would give the first epoch's order, and batches, for ever.
        regroups = any(_does(stages[index], *_REGROUPING) for index in saved)
        if worst.index in shuffles or worst.stage.function is None or regroups:
            return
        summary = (
            f"Keep what {worst.stage.name} gives, if it is the same in each epoch and fits into "
            "memory, and shuffle after that: a cache behind shuffle would keep its order. It helps "
            "from the second epoch on."
        )
        how = f"dataset.map({_name_of_function(worst)}).cache().shuffle(…)"
        saved -= shuffles
    else:
        summary = (
            f"Keep what {worst.stage.name} gives, if it is the same in each epoch and fits into "
            "memory: it helps from the second epoch on."
        )
        how = f"dataset = dataset.cache()  # right after {worst.stage.name}"
    left = tuple(cost for cost in verdict.measured.costs if cost.index not in saved)
    gone = tuple(cost for cost in verdict.measured.costs if cost.index in saved)
    if verdict.measured.context.cpu.process_ratio is None:
        cpu_ms = cpu_work_ms(left, unread=1.0) / verdict.measured.context.room
    else:
        room = verdict.measured.context.room
        cpu_ms = max(verdict.cpu_ms - cpu_work_ms(gone, unread=0.0) / room, 0.0)
        # Of gone stages whose CPU time was not read: what the training itself uses beside the stages
        # that are left, it uses while it computes, on all cores at the most.
        cpu_ms = min(cpu_ms, (verdict.ideal_ms or 0.0) + cpu_work_ms(left, unread=1.0) / room)
    yield from _predicted(
        verdict,
        "cache",
        summary,
        how,
        left,
        cpu_ms,
    )


def _does(stage: Stage, *what: str) -> bool:
    return any(each in stage.running.lower() for each in what)


def _autotune(verdict: Verdict) -> Iterator[Advice]:
    """What nobody tunes and nobody counts is slow, and nobody sees where."""
    if verdict.waits_for_input and verdict.measured.loop.input.autotune is False:
        yield _open(
            "autotune",
            "Switch AUTOTUNE on: it tunes the pipeline, and tf.data then tells what each stage costs.",
            "options = tf.data.Options()\noptions.autotune.enabled = True\n"
            "dataset = dataset.with_options(options)",
        )


def _unpredicted(verdict: Verdict, worst: StageCost) -> Iterator[Advice]:
    """What helps to an extent that cannot be known before."""
    name = worst.stage.name
    holds_gil = worst.stage.kind.python and verdict.cause in (Cause.GIL, Cause.SERIAL)
    if verdict.cause is Cause.CPU_SATURATED:
        users_own = worst.stage.function or worst.stage.location
        cheaper = f"Make {name} cheaper, or do its work once before the training"
        yield _open(
            "less_work",
            f"{cheaper if users_own else 'Leave the training more CPU'}: no core is free, "
            "so more workers or threads will not help.",
        )
    elif verdict.cause is Cause.BLOCKING and verdict.measured.cpu.saturated:
        yield _open(
            "wait_less",
            f"Let {name} wait for less (a faster or nearer store, fewer and larger files): no core is "
            "free for more of it at once.",
        )
    elif verdict.cause is Cause.TRANSPORT:
        yield _open(
            "smaller_batches",
            "Send less: hand over small types and convert them in the model.",
            "return images.astype('uint8'), labels  # and keras.layers.Rescaling(1 / 255)",
        )
    elif verdict.measured.loop.input.kind is InputKind.TF_DATA and holds_gil:
        yield _open(
            "tensorflow_ops",
            f"Write {name} with TensorFlow operations, which run without the GIL.",
        )


def _open(action: str, summary: str, how: str | None = None) -> Advice:
    return Advice(
        action=action, summary=summary, how=how, predicted_step_ms=None, predicted_speedup=None
    )
