"""Records the reference runs in profiles/, one folder each, and the reports on them.

``--reports`` leaves the recordings as they are and remakes the reports only: that is what to do when
words or figures of the report have changed on purpose. Review both as a diff.
"""

import argparse
import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Findings
from pipeprof.report.one_run.run_text import summary
from pipeprof.runs.run_reading import read_run
from pipeprof.runs.run_search import find_run
from pipeprof.surfaces.json_report.as_json import to_json
from pipeprof.surfaces.texts.terminal import render_report

if TYPE_CHECKING:
    from pipeprof.scenarios import Scenario

ROOT = Path(__file__).parents[1]
PROFILES = ROOT / "profiles"
MOST_BYTES = 300_000
WIDTH = 80

# Enough for a verdict, and few enough for `MOST_BYTES`.
PHOTOS = 144

# Recorded runs name no real machine.
HOST = "workstation"

# Name of the folder, name of the scenario, what to look at there.
RUNS = {
    "generator": "photographs from a Python generator: decoding on one thread, under the GIL",
    "sequence-threads": "the same from a `PyDataset` with two worker threads, which share the GIL",
    "sequence-processes": "the same with two worker processes: no GIL, but transport and restarts",
    "tf.data-untuned": "the same in `tf.data`, one call at a time and nothing ahead",
    "tf.data-tuned": "the same with AUTOTUNE and prefetch",
    "arrays": "arrays given to `fit`: the training has nothing to wait for",
    "custom-loop": "a hand-written loop around `train_on_batch` over a slow generator",
}


def main() -> None:
    """Records, or remakes the reports."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of: {', '.join(RUNS)}; all without one")
    parser.add_argument("--reports", action="store_true", help="remake the reports only")
    options = parser.parse_args()
    names = options.names or list(RUNS)
    if not options.reports:
        record(names)
    copy_gpu_trace()
    for name in names:
        write_reports(name)
    (PROFILES / "README.md").write_text(readme())


def record(names: list[str]) -> None:
    """Trains, and keeps the recorded run."""
    from pipeprof.capture.session import profile

    socket.gethostname = lambda: HOST
    sys.argv = ["tools/record_profiles"]
    for name, scenario in scenarios():
        if name not in names:
            continue
        print(f"recording {name} …", file=sys.stderr, flush=True)
        shutil.rmtree(PROFILES / name, ignore_errors=True)
        workload = scenario.prepare()
        with profile(workload.dataset, logdir=PROFILES / name, name=name) as session:
            workload.train(session.dataset)
        size = sum(file.stat().st_size for file in (PROFILES / name).rglob("*") if file.is_file())
        if size > MOST_BYTES:
            print(f"{name} takes {size:,} bytes, more than {MOST_BYTES:,}", file=sys.stderr)


def copy_gpu_trace() -> None:
    """Makes the run with a GPU from a recorded trace, without a GPU: see tests/data/README.md."""
    folder = PROFILES / "gpu-trace" / "plugins" / "profile" / "bert"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / "tests" / "data" / "bert_gpu.xplane.pb", folder / f"{HOST}.xplane.pb")


def scenarios() -> Iterator[tuple[str, "Scenario"]]:
    """The runs to record, by the name of their folder."""
    from pipeprof.scenarios import planted_scenarios
    from pipeprof.scenarios.images import find_photos
    from pipeprof.scenarios.photos import PhotoSet
    from pipeprof.scenarios.photos_keras import keras_scenarios
    from pipeprof.scenarios.photos_tfdata import tfdata_scenario, untuned_scenario

    files = find_photos()
    photos = PhotoSet.of(files[:: max(len(files) // PHOTOS, 1)][:PHOTOS])
    yield from zip(
        ("generator", "sequence-threads", "sequence-processes"),
        keras_scenarios(photos),
        strict=True,
    )
    yield "tf.data-untuned", untuned_scenario(photos)
    yield "tf.data-tuned", tfdata_scenario(photos)
    planted = {scenario.name: scenario for scenario in planted_scenarios()}
    yield "arrays", planted["arrays"]
    yield "custom-loop", planted["loop"]


def findings_of(name: str) -> Findings:
    """The report on a recorded run."""
    return analyse(read_run(find_run(PROFILES / name, name)))


def write_reports(name: str) -> None:
    """Writes the report as text and as JSON."""
    found = findings_of(name)
    (PROFILES / name / "report.txt").write_text(render_report(found, width=WIDTH) + "\n")
    (PROFILES / name / "report.json").write_text(to_json(found) + "\n")


def readme() -> str:
    """The table of all runs."""
    rows = [
        f"| [{name}]({name}/report.txt) | {shows} | {summary(findings_of(name))} |"
        for name, shows in RUNS.items()
    ]
    rows.append(
        "| gpu-trace | one step of BERT on a GPU, TensorFlow's own trace | for TensorBoard |"
    )
    return "\n".join((*_HEAD, *rows, ""))


_HEAD = (
    "# Recorded runs",
    "",
    "Reference runs, made by `tools/record_profiles` on two cores. `pipeprof report profiles/generator`",
    "shows one, `tensorboard --logdir profiles` all of them. They are the golden data of the report's",
    "tests, and of the tests that read what older versions wrote.",
    "",
    "| run | what it is | verdict |",
    "|---|---|---|",
)

if __name__ == "__main__":
    main()
