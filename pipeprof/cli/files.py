"""Reports and traces written to files that the user names."""

import errno
import gzip
import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeprof.errors import UsageError
from pipeprof.recording.rank import Rank

if TYPE_CHECKING:
    from pipeprof.analysis.findings.findings import Findings

_PRINTED = "'pipeprof report --json' prints the same"
_MADE_AGAIN = "'pipeprof report --html FILE' makes it again"
_ANOTHER = "name one in a folder that exists"


def require_writable(path: Path, option: str) -> None:
    """Checks early whether a file can be written, without making it.

    Args:
        path: the file.
        option: the option that names it, for the error.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        problem = _problem_with(path)
    except OSError as error:  # the path may not be read
        problem = error.errno
    if problem is not None:
        raise _not_writable(path, option, os.strerror(problem), "name another one")


def _problem_with(path: Path) -> int | None:
    if path.is_dir():
        return errno.EISDIR
    if path.exists():
        return None if os.access(path, os.W_OK) else errno.EACCES
    if not path.parent.exists():
        return errno.ENOENT
    if not path.parent.is_dir():
        return errno.ENOTDIR
    return None if os.access(path.parent, os.W_OK | os.X_OK) else errno.EACCES


def file_of(rank: Rank | None, path: Path) -> Path:
    """The file of one of several processes that are given the same name for it.

    Args:
        rank: the process's place among those that train together; None where it trains alone.
        path: the name that all of them are given.

    Returns:
        The path for a process alone and for the first rank; ``report.rank-3.json`` for rank 3.
    """
    if rank is None or rank.number == 0:
        return path
    return path.with_name(f"{path.stem}.rank-{rank.number}{path.suffix}")


def write_json(findings: "Findings", path: Path) -> None:
    """Writes the report as JSON.

    Raises:
        UsageError: the file cannot be written.
    """
    from pipeprof.surfaces.json_report.as_json import to_json

    report = f"{to_json(findings)}\n".encode()
    _write(path, report, "--json", _PRINTED)


def write_page(findings: "Findings", path: Path) -> None:
    """Writes the report as a web page.

    Raises:
        UsageError: the file cannot be written.
    """
    from pipeprof.surfaces.webpages.webpage import render_page

    page = render_page(findings).encode()
    _write(path, page, "--html", _MADE_AGAIN)


def write_text(text: str, path: Path, option: str) -> None:
    """Writes a text.

    Raises:
        UsageError: the file cannot be written.
    """
    _write(path, text.encode(), option, _ANOTHER)


def write_chrome(findings: "Findings", path: Path) -> None:
    """Writes the run as a trace in JSON, packed if the file's name ends in ``.gz``.

    Raises:
        UsageError: the file cannot be written.
    """
    from pipeprof.surfaces.timelines.chrome import to_chrome

    write_trace(to_chrome(findings), path)


def write_trace(text: str, path: Path) -> None:
    """Writes a trace in JSON, packed if the file's name ends in ``.gz``.

    Raises:
        UsageError: the file cannot be written.
    """
    trace = text.encode()
    packed = gzip.compress(trace, compresslevel=6) if path.suffix == ".gz" else trace
    _write(path, packed, "--chrome", _ANOTHER)


def _write(path: Path, content: bytes, option: str, remedy: str) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise _not_writable(path, option, error.strerror, remedy) from None


def _not_writable(path: Path, option: str, problem: str | None, remedy: str) -> UsageError:
    return UsageError(
        f"expected a file that can be written, received {option} {path} ({problem}): {remedy}."
    )
