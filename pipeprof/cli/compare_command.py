"""``pipeprof compare``: runs side by side, and a gate for CI."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from pipeprof.errors import PipeprofError, UsageError
from pipeprof.runs.log_folder import DEFAULT_LOGDIR

# Stands for the '--' between the two groups, which the parser of options would take out.
_BETWEEN = "\x1f"


class ComparingCommand(TyperCommand):
    """A command that sees where ``--`` stands among its arguments."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses the arguments."""
        return super().parse_args(ctx, [_BETWEEN if each == "--" else each for each in args])


COMMAND_CLASS = ComparingCommand


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="A B",
            help="Two runs, or two groups of them: A1 A2 -- B1 B2. Log folders, run folders or names.",
        ),
    ],
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="EXPRESSION",
            help="Exit code 1 if it is so beyond the noise, as 'step_ms>+5%'; may be repeated.",
        ),
    ] = None,
    logdir: Annotated[
        Path, typer.Option(metavar="DIR", help="Where runs that are given by name lie.")
    ] = DEFAULT_LOGDIR,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print it as Markdown, for a pull request.")
    ] = False,
    as_html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it there as a page, too.")
    ] = None,
) -> None:
    """Put two runs side by side: was it the same work, and did it get better?

    With --fail-if the exit code is 1 when an expression holds beyond the noise, and 2 when the runs
    cannot be compared.
    """
    try:
        fails = _compare(runs, fail_if or (), logdir, as_json, markdown, as_html)
    except (PipeprofError, OSError):
        raise
    except Exception:
        # Python would exit with 1, which says that the gate has failed.
        traceback.print_exc()
        sys.exit(2)
    if fails:
        sys.exit(1)


def _compare(
    runs: list[str],
    fail_if: Sequence[str],
    logdir: Path,
    as_json: bool,
    markdown: bool,
    as_html: Path | None,
) -> bool:
    """Writes the comparison; returns whether the gate fails."""
    from pipeprof.analysis.comparing.gate import check, parse_condition
    from pipeprof.cli.screen import write_comparison
    from pipeprof.loaded.compared_runs import compare as compare_runs

    conditions = [parse_condition(each) for each in fail_if]
    before, after = _sides(runs)
    comparison = compare_runs(
        [_load(each, logdir) for each in before], [_load(each, logdir) for each in after]
    ).comparison
    outcomes = check(comparison, conditions) if conditions else ()
    if as_json:
        from pipeprof.surfaces.json_report.compared_as_json import comparison_json

        typer.echo(comparison_json(comparison, outcomes))
    elif markdown:
        from pipeprof.surfaces.texts.compared_markdown import render_markdown

        typer.echo(render_markdown(comparison, outcomes))
    else:
        write_comparison(comparison, outcomes, sys.stdout)
    if as_html is not None:
        from pipeprof.cli.files import write_text
        from pipeprof.surfaces.webpages.compared_page import render_comparison_page

        write_text(render_comparison_page(comparison, outcomes), as_html, "--html")
    return any(outcome.fails for outcome in outcomes)


def _sides(runs: list[str]) -> tuple[list[str], list[str]]:
    if _BETWEEN in runs:
        place = runs.index(_BETWEEN)
        before, after = runs[:place], runs[place + 1 :]
        if before and after and _BETWEEN not in after:
            return before, after
    elif len(runs) == 2:
        return runs[:1], runs[1:]
    received = " ".join("--" if each == _BETWEEN else each for each in runs)
    raise UsageError(
        f"expected two runs, or two groups with '--' between them (A1 A2 -- B1 B2), received {received!r}."
    )


def _load(text: str, logdir: Path) -> Any:
    """A run by its folder, by its log folder, or by its name in the log folder."""
    from pipeprof.loaded.recorded_run import load

    path = Path(text)
    if path.exists() or "/" in text:
        return load(path)
    return load(logdir, name=text)
