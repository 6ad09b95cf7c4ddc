"""Reports written to files that the user names."""

from pathlib import Path

from pipeprof.analysis.findings import Findings
from pipeprof.errors import UsageError


def write_json(findings: Findings, path: Path) -> None:
    """Writes the report as JSON.

    Raises:
        UsageError: the file cannot be written.
    """
    from pipeprof.surfaces.as_json import to_json

    _write(path, to_json(findings) + "\n", "--json", "'pipeprof report --json' prints the same")


def write_page(findings: Findings, path: Path) -> None:
    """Writes the report as a web page.

    Raises:
        UsageError: the file cannot be written.
    """
    from pipeprof.surfaces.webpage import render_page

    _write(path, render_page(findings), "--html", "'pipeprof report --html FILE' makes it again")


def _write(path: Path, text: str, option: str, remedy: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"expected a file that can be written, received {option} {path} ({error.strerror}): "
            f"{remedy}."
        ) from None
