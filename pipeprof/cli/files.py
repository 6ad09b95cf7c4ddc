"""Reports and traces written to files that the user names."""

import gzip
from pathlib import Path

from pipeprof.analysis.findings import Findings
from pipeprof.errors import UsageError


def write_json(findings: Findings, path: Path) -> None:
    """Writes the report as JSON.

    Raises:
        UsageError: the file cannot be written.
    """
    from pipeprof.surfaces.as_json import to_json

    report = f"{to_json(findings)}\n".encode()
    _write(path, report, "--json", "'pipeprof report --json' prints the same")


def write_page(findings: Findings, path: Path) -> None:
    """Writes the report as a web page.

    Raises:
        UsageError: the file cannot be written.
    """
    from pipeprof.surfaces.webpage import render_page

    page = render_page(findings).encode()
    _write(path, page, "--html", "'pipeprof report --html FILE' makes it again")


def write_chrome(findings: Findings, path: Path) -> None:
    """Writes the run as a trace in JSON, packed if the file's name ends in ``.gz``.

    Raises:
        UsageError: the file cannot be written.
    """
    from pipeprof.surfaces.chrome import to_chrome

    trace = to_chrome(findings).encode()
    packed = gzip.compress(trace, compresslevel=6) if path.suffix == ".gz" else trace
    _write(path, packed, "--chrome", "name one in a folder that exists")


def _write(path: Path, content: bytes, option: str, remedy: str) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(
            f"expected a file that can be written, received {option} {path} ({error.strerror}): "
            f"{remedy}."
        ) from None
