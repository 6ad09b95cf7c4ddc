"""Python generators given to `fit`: by what their batches cost."""

from pipeprof.scenarios.validation.expected import ExpectedCost, Loops, Planted

# One call at a time while a core is free; saturated where other programs have it.
ON_ONE_THREAD = ("serial", "cpu", "cpu_saturated")
# The training of a light model waits for the batch or, as the batch is made in Python, for the GIL.
IN_PYTHON = (*ON_ONE_THREAD, "gil")

PLANTED = (
    Planted(
        name="generator_reads",
        kind="generator",
        bound=("input",),
        cause=("blocking",),
        bottleneck=("batches",),
        costs=(ExpectedCost(stage="batches", truth="reading_ms"),),
        loops=(Loops(kind="fit", steps=180, epochs=3),),
        ceiling=True,
        quick=True,
    ),
    Planted(
        name="generator_parses",
        kind="generator",
        bound=("input",),
        cause=IN_PYTHON,
        bottleneck=("parsed_batches", "parse_lines"),
        costs=(ExpectedCost(stage="parsed_batches", truth="parsing_ms"),),
        loops=(Loops(kind="fit", steps=180, epochs=3),),
        not_advised=("worker thread",),  # they would share the GIL
        ceiling=True,
    ),
    Planted(
        name="generator_predicts",
        kind="generator",
        bound=("input",),
        cause=ON_ONE_THREAD,
        bottleneck=("features",),
        costs=(ExpectedCost(stage="features", truth="extracting_ms"),),
        loops=(Loops(kind="fit", steps=120, epochs=3),),
        ceiling=True,
    ),
    Planted(
        name="generator_multiplies",
        kind="generator",
        bound=("input",),
        cause=ON_ONE_THREAD,
        bottleneck=("whitened", "whiten"),
        costs=(ExpectedCost(stage="whitened", truth="whitening_ms"),),
        loops=(Loops(kind="fit", steps=120, epochs=3),),
        ceiling=True,
    ),
    Planted(
        name="generator_pool",
        kind="generator",
        bound=("input",),
        cause=("helpers",),
        bottleneck=("rendered", "render"),
        loops=(Loops(kind="fit", steps=100, epochs=2),),
    ),
    Planted(
        name="generator_uneven",
        kind="generator",
        bound=("input",),
        cause=("blocking",),
        bottleneck=("rows", "open_file"),
        remarked=("50th",),
        loops=(Loops(kind="fit", steps=300, epochs=2),),
    ),
    Planted(
        name="generator_ready",
        kind="generator",
        bound=("compute",),
        cause=("none",),
        no_bottleneck=True,
        loops=(Loops(kind="fit", steps=120, epochs=3),),
        quick=True,
    ),
)
