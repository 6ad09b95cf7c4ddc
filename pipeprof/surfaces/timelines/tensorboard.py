"""A run for TensorBoard: a profile for its XProf page, scalars over steps, and the report as text."""

from pathlib import Path

from pipeprof.analysis.findings.findings import Findings
from pipeprof.surfaces.timelines.scalar_log import ScalarLog, host_of, write_events, write_whole
from pipeprof.surfaces.timelines.scalars import safe_name
from pipeprof.surfaces.timelines.xplane import to_xspace


def write_run(
    findings: Findings, logdir: Path, report: str, scalars: ScalarLog | None = None
) -> None:
    """Writes a run into a folder that TensorBoard is started on.

    The profile goes to ``plugins/profile/<run>/<host>.xplane.pb``, the scalars and the report to
    ``<run>/events.out.tfevents.…``; those of a rank to ``<host>-rank<number>.xplane.pb`` and
    ``<run>/rank-<number>/``. Writing the same run again replaces both, and takes away what
    XProf keeps of the old profile.

    Args:
        findings: the run.
        logdir: TensorBoard's log folder; made if it is not there.
        report: the report as it is printed; shown in a fixed-width block.
        scalars: wrote what there was while the run was recorded, and is brought to its end.

    Raises:
        OSError: a file or folder could not be written.
    """
    run = findings.profile.run
    profiles = logdir / "plugins" / "profile" / safe_name(run.name, "run")
    of_rank = "" if run.rank is None else f"-rank{run.rank.number}"  # XProf merges all files
    write_whole(profiles / f"{host_of(run)}{of_rank}.xplane.pb", to_xspace(findings))
    _forget_caches(profiles)
    if scalars is None or not scalars.finish(findings.profile, report):
        main = findings.main.loop if findings.main is not None else None
        write_events(findings.profile, main, logdir, report)


def _forget_caches(folder: Path) -> None:
    """Removes what XProf derived from profiles that lay here before: it never looks again."""
    for path in folder.iterdir():
        if path.name.endswith(".SSTABLE") or path.name.startswith("ALL_HOSTS."):
            path.unlink(missing_ok=True)
