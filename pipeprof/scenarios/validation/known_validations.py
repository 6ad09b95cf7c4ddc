"""Validation within `fit`."""

from pipeprof.scenarios.validation.expected import Loops, Planted

FIT = "fit"

PLANTED = (
    Planted(
        name="validation_half",
        kind="validation",
        bound=("compute",),
        cause=("none",),
        no_bottleneck=True,
        loops=(Loops(kind=FIT, steps=120, epochs=4),),
    ),
    Planted(
        name="validation_small",
        kind="validation",
        bound=("compute",),
        cause=("none",),
        no_bottleneck=True,
        loops=(Loops(kind=FIT, steps=150, epochs=3),),
    ),
    Planted(
        name="validation_slow_input",
        kind="validation",
        bound=("compute",),  # of training; the validation has a verdict of its own
        cause=("none",),
        no_bottleneck=True,
        loops=(Loops(kind=FIT, steps=240, epochs=4),),
    ),
)
