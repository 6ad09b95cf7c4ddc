"""All pictures of one run, in the order in which they are shown."""

from pipeprof.analysis.findings import Findings
from pipeprof.figures.accelerators import accelerators_figure
from pipeprof.figures.autotune import autotune_figure
from pipeprof.figures.figure import Figure
from pipeprof.figures.pipeline import pipeline_figure
from pipeprof.figures.processors import processors_figure
from pipeprof.figures.queues import queues_figure
from pipeprof.figures.steps import steps_figure
from pipeprof.figures.timeline import timeline_figure

_KINDS = (
    steps_figure,
    pipeline_figure,
    timeline_figure,
    processors_figure,
    accelerators_figure,
    queues_figure,
    autotune_figure,
)


def figures_of(findings: Findings) -> tuple[Figure, ...]:
    """Those that have something to show."""
    made = (make(findings) for make in _KINDS)
    return tuple(figure for figure in made if figure is not None)
