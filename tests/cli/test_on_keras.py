"""The commands on real trainings and with the real TensorBoard."""

import json
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import pytest

from tests.builders import profile
from tests.cli.conftest import Shell, write_run

pytestmark = pytest.mark.integration

TRAIN = """\
import sys, time
import keras, numpy as np

def read(number):
    time.sleep(0.01)
    if "--raise" in sys.argv and number == 25:
        raise ValueError("bad file")
    return np.zeros((8, 4), "float32"), np.zeros((8, 1), "float32")

def batches():
    number = 0
    while True:
        if number == 25:
            print("going", flush=True)
        yield read(number)
        number += 1

if __name__ == "__main__":
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    epochs = 1000 if "--long" in sys.argv else 2
    model.fit(batches(), steps_per_epoch=20, epochs=epochs, verbose=0)
    print("trained")
    if "--exit" in sys.argv:
        sys.exit(3)
"""


@pytest.fixture
def trainer(shell: Shell) -> Shell:
    shell.write("train.py", TRAIN)
    return shell


def _report(shell: Shell) -> Any:
    return json.loads((shell.folder / "report.json").read_text())


@pytest.mark.quick
@pytest.mark.parametrize("how", [("train.py",), ("-m", "train")])
def test_a_training_is_watched_and_its_exit_code_returned(
    trainer: Shell, how: tuple[str, ...]
) -> None:
    outcome = trainer.run("--json", "report.json", *how, "--exit")
    assert (outcome.code, outcome.out) == (3, "going\ntrained\n")
    assert "INPUT-BOUND" in outcome.err
    said = _report(trainer)
    assert [(one["kind"], one["epochs"], one["steps"]) for one in said["loops"]] == [("fit", 2, 40)]
    assert said["diagnosis"]["bottleneck"]["location"].endswith("train.py:10")
    assert said["run"]["exit"] == 3


@pytest.mark.quick
def test_a_failed_training_is_reported_as_far_as_it_came(trainer: Shell) -> None:
    outcome = trainer.run("--json", "report.json", "train.py", "--raise")
    assert outcome.code == 1
    traceback, _, report = outcome.err.partition("\n  run ")
    assert "ValueError: bad file" in traceback
    assert "The training ended with an exception" in report
    (fit,) = _report(trainer)["loops"]
    assert 20 <= fit["steps"] <= 25


@pytest.mark.quick
def test_ctrl_c_reports_what_was_seen(trainer: Shell) -> None:
    process = trainer.start("-m", "pipeprof", "run", "--json", "report.json", "train.py", "--long")
    assert process.stdout is not None
    assert process.stdout.readline() == "going\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (-signal.SIGINT, "")
    assert "Traceback" not in err
    (fit,) = _report(trainer)["loops"]
    assert fit["steps"] >= 15
    assert _report(trainer)["run"]["error"] == "KeyboardInterrupt"


@pytest.mark.quick
def test_the_measured_limit_ends_the_script_and_stands_beside_its_run(trainer: Shell) -> None:
    assert trainer.run("train.py").code == 0
    pipeprof = ("-m", "pipeprof")
    outcome = trainer.python(
        *pipeprof, "ceiling", "--steps=20", "--batches=4", "--json=limit.json", "train.py"
    )
    assert (outcome.code, outcome.out) == (0, "")  # its input rests, and what follows does not run
    assert "With input for free a step takes" in outcome.err
    limit = json.loads((trainer.folder / "limit.json").read_text())
    assert set(limit) == {"step_ms", "steps", "batches"}
    assert (limit["steps"] >= 20, limit["batches"]) == (True, 4)
    assert "(measured: " in trainer.python(*pipeprof, "report").out
    diagnosis = json.loads(trainer.python(*pipeprof, "report", "--json").out)["diagnosis"]
    assert diagnosis["ideal_known"] == "measured"
    assert diagnosis["ideal_step_ms"] == limit["step_ms"]["mean"]


def test_demo_trains_on_photographs_of_ones_own(shell: Shell) -> None:
    from pipeprof.scenarios.images import make_photo

    pillow = pytest.importorskip("PIL.Image")
    (shell.folder / "own").mkdir()
    for number in range(32):
        photo = pillow.fromarray(make_photo("moss", number))
        photo.save(shell.folder / "own" / f"{number}.jpg")
    outcome = shell.python("-m", "pipeprof", "demo", "generator", "threads", "--data", "own")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[0].split() == [
        "Python",
        "generator",
        "PyDataset,",
        "2",
        "threads",
    ]
    assert outcome.out.endswith("pipeprof view logs/pipeprof\n")
    names = {folder.name for folder in shell.run_folders()}
    assert names == {"demo-generator", "demo-threads"}


@contextmanager
def _viewing(shell: Shell) -> Iterator[tuple[subprocess.Popen[str], str]]:
    process = shell.start("-m", "pipeprof", "view", "logs", "--port", "0")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("TensorBoard shows logs at http"), process.communicate()
        yield process, line.split()[4]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _ask(address: str) -> Any:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(address, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_view_serves_a_run_until_it_is_ended(
    shell: Shell, number: signal.Signals, code: int
) -> None:
    write_run(profile(), shell.folder / "logs")
    with _viewing(shell) as (process, address):
        assert _ask(f"{address}data/plugins_listing")["profile"]["enabled"]
        children = psutil.Process(process.pid).children(recursive=True)
        assert children
        process.send_signal(number)
        assert process.wait(timeout=30) == code
        _, running = psutil.wait_procs(children, timeout=10)
        assert [child for child in running if child.status() != psutil.STATUS_ZOMBIE] == []
