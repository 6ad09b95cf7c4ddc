"""What tuning found, as text for a terminal: the result, the trials, the code to write.

Returns text and never prints.
"""

from rich.console import Group, RenderableType
from rich.text import Text

from pipeprof.recording.tuning_outcome import TuningOutcome
from pipeprof.report.plain_text import sentence
from pipeprof.report.text_layout import (
    Column,
    cells,
    code_block,
    column_table,
    indented,
    page,
)
from pipeprof.report.tuning.tuning_code import code_of
from pipeprof.report.tuning.tuning_patch import write_patch
from pipeprof.report.tuning.tuning_text import (
    HEADER,
    describe_columns,
    describe_outcome,
    describe_refused,
    trial_rows,
)
from pipeprof.surfaces.texts.tuning_bars import draw_bars

LEAST_WIDTH = 40


def render_tuning(
    outcome: TuningOutcome,
    *,
    source: str | None = None,
    file: str = "",
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """The result of tuning, without a line end after its last line.

    Args:
        outcome: what was found.
        source: the text of the script that was tuned, to write the changes as a diff of it; or None.
        file: the script's name.
        width: columns of the screen; fewer than `LEAST_WIDTH` count as that many.
        color: whether to write ANSI colours.
        ascii_only: whether the screen shows nothing but ASCII.
    """
    width = max(width, LEAST_WIDTH)
    lines = enumerate(describe_outcome(outcome))
    summary = [Text(sentence(line), "bold" if number == 0 else "") for number, line in lines]
    sections: list[RenderableType] = [indented(Group(*summary))]
    if outcome.trials:
        sections.append(indented(_table(outcome, width - 2)))
        below = [Text(line) for line in (*describe_columns(outcome), *describe_refused(outcome))]
        sections += [indented(Group(*below))] if below else []
    bars = draw_bars(outcome, width - 2)
    if bars:
        sections.append(indented(Text("\n".join(bars))))
    left = outcome.best
    if source is not None and outcome.best:
        patch = write_patch(source, file, outcome.described, outcome.best)
        left = patch.left
        if patch.diff:
            sections.append(
                Group(*(code_block(line) for line in patch.diff.removesuffix("\n").split("\n")))
            )
    if left:
        written = code_of(outcome.described, left).splitlines()
        head = "Write this too:" if left != outcome.best else "Write this:"
        blocks = [code_block(f"      {line}") for line in written]
        sections.append(Group(indented(Text(head, "bold")), *blocks))
    return page(sections, width=width, color=color, ascii_only=ascii_only)


def _table(outcome: TuningOutcome, width: int) -> RenderableType:
    rows = trial_rows(outcome)
    titles, *figures, verdict = (tuple(column) for column in zip(HEADER, *rows, strict=True))
    styles = tuple("bold green" if trial.kept else "" for trial in outcome.trials)
    columns = [Column(header=titles[0], cells=cells(titles[1:]), styles=styles, least=16)]
    columns += [
        Column(header=figure[0], cells=cells(text or None for text in figure[1:]), right=True)
        for figure in figures
        if any(figure[1:])
    ]
    columns.append(Column(header=verdict[0], cells=cells(verdict[1:]), least=8))
    return column_table(columns, width)
