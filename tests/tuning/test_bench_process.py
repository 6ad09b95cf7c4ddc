"""The process of trials and what is left of it, with a bench that knows no framework."""

import os
import select
from pathlib import Path

import pytest

from pipeprof.errors import TuningRefused
from pipeprof.tuning.bench_process import ProcessBench
from pipeprof.tuning.consuming import Limits

SERVER = """
import os, signal, subprocess, sys
from pipeprof.tuning.bench_process import serve

class Bench:
    def trial(self, edits, limits):
        with open("worker", "w") as open_there:
            subprocess.Popen(["sleep", "1000"], stdout=open_there)
        os.kill(os.getpid(), signal.SIGKILL)

    def predict(self, edits, within):
        (within / "rest").write_text(str(within))
        print(within, file=open("where", "w"))

serve(Bench, *map(int, sys.argv[1:]))
"""


@pytest.fixture
def serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.chdir(tmp_path)
    Path("server.py").write_text(SERVER)
    return ("server.py",)


def test_the_workers_of_a_process_that_died_are_ended_too(serves: tuple[str, ...]) -> None:
    os.mkfifo("worker")
    worker = os.open("worker", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with (
            ProcessBench(serves, most_s=60.0) as bench,
            pytest.raises(TuningRefused, match="its process was killed"),
        ):
            bench.trial((), Limits())
        assert select.select([worker], [], [], 30.0)[0]  # nobody writes there any more
        assert os.read(worker, 1) == b""
    finally:
        os.close(worker)


def test_what_a_process_leaves_of_its_predictions_is_removed(serves: tuple[str, ...]) -> None:
    with ProcessBench(serves, most_s=60.0) as bench:
        assert bench.predict(()) is None
        where = Path(Path("where").read_text().strip())
        assert (where / "rest").exists()
    assert not where.exists()
