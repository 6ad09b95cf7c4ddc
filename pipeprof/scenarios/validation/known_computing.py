"""Who computes or waits under the input's Python code: native threads, pools of threads or processes."""

from pipeprof.scenarios.validation.expected import ExpectedCost, Loops, Planted

COMPUTES = ("cpu", "cpu_saturated")

PLANTED = (
    Planted(
        name="generator_reads_beside",
        kind="generator",
        bound=("input",),
        cause=("blocking",),
        bottleneck=("slow_files",),
        costs=(ExpectedCost(stage="slow_files", truth="reading_ms"),),
        loops=(Loops(kind="fit", steps=100, epochs=2),),
        ceiling=True,
    ),
    Planted(
        name="generator_threads_unpack",
        kind="generator",
        bound=("input",),
        cause=COMPUTES,
        bottleneck=("unpacked",),
        loops=(Loops(kind="fit", steps=100, epochs=2),),
        remarked=("threads of this process",),
    ),
    Planted(
        name="generator_threads_fetch",
        kind="generator",
        bound=("input",),
        cause=("blocking",),
        bottleneck=("fetched",),
        loops=(Loops(kind="fit", steps=120, epochs=2),),
    ),
    Planted(
        name="sequence_threads_unpack",
        kind="sequence",
        bound=("input",),
        cause=COMPUTES,
        bottleneck=("Pictures.__getitem__",),
        costs=(ExpectedCost(stage="Pictures.__getitem__", truth="unpacking_ms"),),
        loops=(Loops(kind="fit", steps=90, epochs=3),),
    ),
    Planted(
        name="tfdata_py_function_extract",
        kind="tfdata",
        bound=("input",),
        cause=(*COMPUTES, "serial"),
        bottleneck=("features", "through_network"),
        costs=(ExpectedCost(stage="features", truth="extracting_ms"),),
        loops=(Loops(kind="fit", steps=120, epochs=3),),
    ),
    Planted(
        name="loop_extract",
        kind="loop",
        bound=("input",),
        cause=COMPUTES,
        bottleneck=("features",),
        costs=(ExpectedCost(stage="features", truth="extracting_ms"),),
        loops=(Loops(kind="train_on_batch", steps=120),),
    ),
    Planted(
        name="tfdata_iterator_ends",
        kind="tfdata",
        bound=("input",),
        cause=("epoch_start",),
        loops=(Loops(kind="fit", steps=100, epochs=5),),
        remarked=("the iterator of the epoch before",),
    ),
)
