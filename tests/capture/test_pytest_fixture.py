import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

from pipeprof.runs.run_search import list_runs
from tests.test_package import project

TEST = """
def test_a_loop(pipeprof_profile):
    with pipeprof_profile([1, 2, 3], warmup=0) as prof:
        for _ in prof.dataset:
            with prof.step():
                pass
    assert prof.result.main_loop.step_count == 3
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(TEST)
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pipeprof.capture.pytest_fixture"]
    command += ["--rootdir", str(folder), *arguments, str(folder / "test_it.py")]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True)


def test_the_entry_point_of_pytest_is_the_plugin() -> None:
    [(name, value)] = project()["entry-points"]["pytest11"].items()
    plugin = EntryPoint(name, value, "pytest11").load()
    assert plugin.pipeprof_profile is not None


def test_a_training_in_a_test_is_profiled_and_kept(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--pipeprof-logdir", str(tmp_path / "logs"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [run.name for run in list_runs(tmp_path / "logs")] == ["test_a_loop"]


def test_without_the_option_nothing_is_left_in_the_folder(tmp_path: Path) -> None:
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (tmp_path / "logs").exists()
