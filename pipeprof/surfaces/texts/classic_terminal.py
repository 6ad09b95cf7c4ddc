"""Questions with their measured answers as text for a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from pipeprof.analysis.comparing.classic_answers import ClassicAnswer
from pipeprof.report.plain_text import clean
from pipeprof.report.runs.classic_text import answer_text, question_of
from pipeprof.report.text_layout import labelled, page
from pipeprof.surfaces.texts.terminal import LEAST_WIDTH


def render_answers(
    answers: Sequence[ClassicAnswer],
    *,
    width: int = 80,
    color: bool = False,
    ascii_only: bool = False,
) -> str:
    """A question a row, its answer below; arguments as of `render_report`."""
    rows: list[RenderableType] = [
        Group(
            labelled(Text("?", "bold"), [Text(question_of(answer), "bold")]),
            labelled(Text(" "), [Text(clean(answer_text(answer)))]),
        )
        for answer in answers
    ]
    return page(rows, width=max(width, LEAST_WIDTH), color=color, ascii_only=ascii_only)
