"""Arrays in memory, and callbacks: what they cost, and when."""

from pipeprof.scenarios.validation.expected import Loops, Named, Planted

PLANTED = (
    Planted(
        name="arrays_light",
        kind="arrays",
        bound=("compute",),
        cause=("none",),
        no_bottleneck=True,
        loops=(Loops(kind="fit", steps=2400, epochs=6),),
    ),
    Planted(
        name="arrays_heavy",
        kind="arrays",
        bound=("compute",),
        cause=("none",),
        no_bottleneck=True,
        loops=(Loops(kind="fit", steps=120, epochs=3),),
        quick=True,
    ),
    Planted(
        name="callbacks_cheap",
        kind="callbacks",
        bound=("compute",),
        cause=("none",),
        no_bottleneck=True,
        loops=(Loops(kind="fit", steps=120, epochs=3),),
    ),
    Planted(
        name="callbacks_each_batch",
        kind="callbacks",
        bound=("host",),
        cause=("callback",),
        no_bottleneck=True,
        named=(
            Named(name="Dashboard", truth="callbacks_s"),
            Named(name="Dashboard", function="Dashboard.on_train_batch_end", part="callbacks"),
        ),
        loops=(Loops(kind="fit", steps=300, epochs=3),),
    ),
    Planted(
        name="callbacks_checkpoint",
        kind="callbacks",
        bound=("host",),
        cause=("callback",),
        no_bottleneck=True,
        named=(Named(name="ModelCheckpoint", truth="callbacks_s"),),
        advised=("save_freq",),
        loops=(Loops(kind="fit", steps=300, epochs=3),),
    ),
    Planted(
        name="callbacks_epoch_end",
        kind="callbacks",
        bound=("host",),
        cause=("callback",),
        no_bottleneck=True,
        named=(
            Named(name="Retrieval", truth="callbacks_s"),
            Named(name="Retrieval", function="Retrieval.on_epoch_end", part="callbacks"),
        ),
        loops=(Loops(kind="fit", steps=300, epochs=5),),
    ),
    Planted(
        name="callbacks_lambda",
        kind="callbacks",
        bound=("host",),
        cause=("callback",),
        no_bottleneck=True,
        named=(
            Named(
                name="LambdaCallback.on_train_batch_end", function="write_line", part="callbacks"
            ),
        ),
        loops=(Loops(kind="fit", steps=300, epochs=3),),
    ),
    Planted(
        name="callbacks_pause",
        kind="callbacks",
        bound=("host",),
        cause=("callback",),
        no_bottleneck=True,
        named=(Named(name="Snapshot", truth="callbacks_s"),),
        loops=(Loops(kind="fit", steps=120, epochs=2),),
    ),
)
