"""Loops that users write themselves."""

from pipeprof.scenarios.validation.expected import ExpectedCost, Loops, Named, Planted

KIND = "loop"

PLANTED = (
    Planted(
        name="loop_gradient_tape",
        kind=KIND,
        bound=("input",),
        cause=("blocking", "serial"),
        bottleneck=("load", "read_shard"),
        costs=(ExpectedCost(stage="load", truth="loading_ms"),),
        loops=(Loops(kind="custom", steps=180, epochs=3),),
        ceiling=True,
    ),
    Planted(
        name="loop_train_on_batch",
        kind=KIND,
        bound=("input",),
        cause=("blocking",),
        bottleneck=("read_scans",),
        loops=(Loops(kind="train_on_batch", steps=200),),
        ceiling=True,
    ),
    Planted(
        name="loop_generator_beside",
        kind=KIND,
        bound=("compute", "host"),  # what the loop does is a sleep: the user's own code
        no_bottleneck=True,
        loops=(Loops(kind="custom", steps=120, epochs=2),),
        quick=True,
    ),
    Planted(
        name="loop_queue_starves",
        kind=KIND,
        bound=("input",),
        cause=("blocking",),
        bottleneck=("load_clip", "fill"),
        loops=(Loops(kind="train_on_batch", steps=200),),
    ),
    Planted(
        name="loop_queue_keeps_up",
        kind=KIND,
        bound=("compute",),
        cause=("none",),
        no_bottleneck=True,
        loops=(Loops(kind="train_on_batch", steps=120),),
    ),
    Planted(
        name="loop_queue_parses",
        kind=KIND,
        bound=("input",),
        cause=("gil",),
        bottleneck=("parse_record", "fill"),
        held_up=True,
        loops=(Loops(kind="train_on_batch", steps=180),),
    ),
    Planted(
        name="loop_replay",
        kind=KIND,
        bound=("host", "input"),
        cause=("own_code",),
        named=(
            Named(name="Agent.act", function="Agent.act", truth="acting_s"),
            Named(name="Agent.sample", function="Agent.sample", truth="sampling_s"),
        ),
        loops=(Loops(kind="train_on_batch", steps=200),),
        no_loops=("predict",),
    ),
    Planted(
        name="loop_small_function",
        kind=KIND,
        bound=("compute",),
        cause=("none",),
        no_bottleneck=True,
        loops=(Loops(kind="train_on_batch", steps=120),),
    ),
    Planted(
        name="held_up_not",
        kind="held_up",
        bound=("compute",),
        cause=("none",),
        no_bottleneck=True,
        held_up=False,
        loops=(Loops(kind="fit", steps=200, epochs=2),),
    ),
    Planted(
        name="graph_epoch",
        kind=KIND,
        bound=("input",),
        cause=("blocking", "serial"),
        bottleneck=("fetch", "read_patches"),
        costs=(ExpectedCost(stage="fetch", truth="fetching_ms"),),
        loops=(Loops(kind="custom"),),
    ),
    Planted(
        name="loop_tape_ready",
        kind=KIND,
        bound=("compute",),
        cause=("none",),
        no_bottleneck=True,
        loops=(Loops(kind="custom", steps=150, epochs=3),),
    ),
    Planted(
        name="loop_interleave_beside",
        kind=KIND,
        bound=("compute", "host"),  # what the loop does is a sleep: the user's own code
        no_bottleneck=True,
        loops=(Loops(kind="custom", steps=120, epochs=2),),
    ),
)
