"""Two ways to give a command: inside this process, and as a process of its own."""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeprof.cli import main
from pipeprof.recording.profile import Profile
from pipeprof.runs.run_file import RunFile
from pipeprof.runs.run_writing import write_run_file


@dataclass(frozen=True, slots=True)
class Outcome:
    code: int
    out: str
    err: str


Command = Callable[..., Outcome]


@pytest.fixture
def command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Command:
    """Gives a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def give(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["pipeprof", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Outcome(code, written.out, written.err)

    return give


@dataclass(frozen=True, slots=True)
class Shell:
    """Starts Python in a folder of its own, and writes the files that it is to run."""

    folder: Path

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell's background job ignores Ctrl-C, and so would all that the tests start there.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def python(self, *arguments: str) -> Outcome:
        process = self.start(*arguments)
        out, err = process.communicate(timeout=100)
        return Outcome(process.returncode, out, err)

    def run(self, *arguments: str) -> Outcome:
        return self.python("-m", "pipeprof", "run", *arguments)

    def run_folders(self, logdir: str = "logs/pipeprof") -> list[Path]:
        return sorted((self.folder / logdir / "plugins" / "pipeprof").glob("*"))


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def write_run(recorded: Profile, logdir: Path, name: str = "run-1") -> Path:
    """A recording as it lies in a log folder."""
    folder = logdir / "plugins" / "pipeprof" / name
    folder.mkdir(parents=True)
    write_run_file(RunFile(folder, "host-a-4000"), recorded)
    return folder
