"""All pictures of one run, in the order in which they are shown."""

from pipeprof.analysis.findings.findings import Findings
from pipeprof.report.figures.accelerators import accelerators_figure
from pipeprof.report.figures.account_bars import account_figure
from pipeprof.report.figures.autotune_values import autotune_figure
from pipeprof.report.figures.epoch_times import epochs_figure
from pipeprof.report.figures.figure import Figure
from pipeprof.report.figures.lane_timeline import timeline_figure
from pipeprof.report.figures.pipeline import pipeline_figure
from pipeprof.report.figures.processors import processors_figure
from pipeprof.report.figures.queues import queues_figure
from pipeprof.report.figures.rank_waits import ranks_figure
from pipeprof.report.figures.step_times import steps_figure
from pipeprof.report.figures.tuned_steps import tuning_figure

_KINDS = (
    ranks_figure,
    account_figure,
    epochs_figure,
    steps_figure,
    pipeline_figure,
    timeline_figure,
    processors_figure,
    accelerators_figure,
    queues_figure,
    autotune_figure,
    tuning_figure,
)


def figures_of(findings: Findings) -> tuple[Figure, ...]:
    """The figures of a run that have something to show."""
    made = (make(findings) for make in _KINDS)
    return tuple(figure for figure in made if figure is not None)
