"""Runs beside each other as Markdown, for a pull request or a job's summary."""

from collections.abc import Sequence

from pipeprof.analysis.comparing.gate import GateResult
from pipeprof.analysis.comparing.run_comparison import Comparison
from pipeprof.report.plain_text import clean
from pipeprof.report.runs.run_comparison_text import (
    ComparedRow,
    compared_rows,
    names_of,
    noise_sentence,
    outcome_sentence,
    outcome_word,
    trouble_sentences,
    verdict_sentence,
    work_sentences,
)

_SPECIAL = str.maketrans({each: f"\\{each}" for each in "\\`*_[]<>|~&"})


def render_markdown(comparison: Comparison, outcomes: Sequence[GateResult] = ()) -> str:
    """The comparison as Markdown, without a line end after its last line.

    Args:
        comparison: the runs.
        outcomes: what became of the conditions of a gate.
    """
    lines = [
        f"**{_text(verdict_sentence(comparison))}**",
        "",
        *(f"- {outcome_word(outcome)} {_text(outcome_sentence(outcome))}" for outcome in outcomes),
        *([""] if outcomes else []),
        f"|  | {_text(names_of(comparison.before))} | {_text(names_of(comparison.after))} | change |  |",
        "| --- | ---: | ---: | ---: | --- |",
        *(f"| {' | '.join(_cells(row))} |" for row in compared_rows(comparison)),
        "",
        *(_text(sentence) for sentence in trouble_sentences(comparison)),
        *(_text(sentence) for sentence in work_sentences(comparison)),
        _text(noise_sentence(comparison)),
    ]
    return "\n".join(lines)


def _text(text: str) -> str:
    return clean(text).translate(_SPECIAL)


def _cells(row: ComparedRow) -> list[str]:
    name, *others = map(_text, row.cells)
    return [f"&nbsp;&nbsp;{name}" if row.is_part else name, *others]
