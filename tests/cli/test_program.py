"""A program finds what it finds under ``python``, and ends as it ends there."""

import sys
from pathlib import Path

import pytest

from pipeprof.cli import program
from pipeprof.cli.program import exit_code, find_module, find_script, own_traceback, show_end
from pipeprof.errors import UsageError
from tests.cli.conftest import Shell

# Each starts Python anew.
pytestmark = [pytest.mark.integration, pytest.mark.quick]

SURROUNDINGS = """\
import os, sys
import __main__
seen = {name: value for name, value in vars(__main__).items() if name.startswith("__")}
print(sys.argv, sys.path, os.getcwd())
for name in sorted(seen):
    value = seen[name]
    print(name, type(value).__name__, getattr(value, "name", value if value is None else str(value)[:60]))
print(__main__.__spec__ and (__main__.__spec__.name, __main__.__spec__.origin))
print(vars(__main__) is globals())
"""

WORKERS = """\
import multiprocessing
import sys
def double(number):
    return 2 * number
if __name__ == "__main__":
    multiprocessing.set_start_method(sys.argv[1])
    with multiprocessing.Pool(2) as pool:
        print(pool.map(double, [1, 2, 3]))
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("train.py", "--help", "-m", "--", "x y"),
        ("sub/link.py",),
        ("./train.py", ""),
        ("sub/../train.py",),
        ("-m", "train", "--name", "x"),
        ("-m", "package", "--logdir=x"),
        ("-m", "package.inner"),
    ],
)
def test_surroundings_are_those_of_python(shell: Shell, arguments: tuple[str, ...]) -> None:
    for name in ("train.py", "package/__main__.py", "package/inner.py"):
        shell.write(name, SURROUNDINGS)
    shell.write("package/__init__.py", "")
    (shell.folder / "sub").mkdir()
    (shell.folder / "sub" / "link.py").symlink_to("../train.py")
    shell.python(*arguments)  # leaves the compiled files behind that `__cached__` may name
    expected = shell.python(*arguments)
    outcome = shell.run(*arguments)
    assert outcome.out == expected.out
    assert (outcome.code, expected.code) == (0, 0)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
@pytest.mark.parametrize("how", [("train.py",), ("-m", "train")])
def test_worker_processes_find_the_program(shell: Shell, how: tuple[str, ...], method: str) -> None:
    shell.write("train.py", WORKERS)
    outcome = shell.run(*how, method)
    assert (outcome.code, outcome.out) == (0, "[2, 4, 6]\n")


def test_exit_handlers_still_find_the_program(shell: Shell) -> None:
    shell.write(
        "train.py", "import atexit\natexit.register(lambda: print(__import__('__main__').x))\nx = 3"
    )
    assert shell.run("train.py").out == "3\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (SystemExit(), 0),
        (SystemExit(0), 0),
        (SystemExit(3), 3),
        (SystemExit("text"), 1),
        (KeyboardInterrupt(), 130),
        (ValueError("bad"), 1),
        (GeneratorExit(), 1),
    ],
)
def test_exit_code_is_that_of_python(error: BaseException | None, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize("quiet", [None, SystemExit(), SystemExit(3), KeyboardInterrupt()])
def test_nothing_is_said_of_an_end_that_says_nothing(
    quiet: BaseException | None, capsys: pytest.CaptureFixture[str]
) -> None:
    show_end(quiet)
    assert capsys.readouterr() == ("", "")


def test_what_sys_exit_was_given_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    show_end(SystemExit("no data"))
    assert capsys.readouterr() == ("", "no data\n")


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Gives back what a program that runs in here changes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "argv", list(sys.argv))
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    return tmp_path


def test_traceback_has_no_frames_of_pipeprof(own_process: Path) -> None:
    # `stage` puts frames of pipeprof between those of the program.
    (own_process / "train.py").write_text(
        "import pipeprof\n"
        "def source():\n"
        "    yield 1\n"
        "    raise ValueError('bad file')\n"
        "for number in pipeprof.stage('read', source()):\n"
        "    pass\n"
    )
    with pytest.raises(ValueError, match="bad file") as raised:
        find_script("train.py", ()).run()
    lines = []
    traceback = own_traceback(raised.value)
    while traceback is not None:
        lines.append((Path(traceback.tb_frame.f_code.co_filename).name, traceback.tb_lineno))
        traceback = traceback.tb_next
    assert lines == [("train.py", 5), ("train.py", 4)]


def test_what_led_to_an_exception_is_shown_without_frames_of_pipeprof(
    own_process: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_process / "train.py").write_text(
        "import pipeprof\n"
        "@pipeprof.stage('read')\n"
        "def read():\n"
        "    raise ValueError('bad file')\n"
        "try:\n"
        "    read()\n"
        "except ValueError as error:\n"
        "    raise RuntimeError('no data') from error\n"
    )
    with pytest.raises(RuntimeError) as raised:
        find_script("train.py", ()).run()
    show_end(raised.value)
    shown = capsys.readouterr().err
    assert "ValueError: bad file" in shown
    assert "RuntimeError: no data" in shown
    files = [line.split(",")[0] for line in shown.splitlines() if line.startswith("  File ")]
    assert {Path(file.strip().strip('"')).name for file in files} == {"train.py"}
    assert len(files) == 3


def test_syntax_errors_show_when_it_runs(own_process: Path) -> None:
    (own_process / "train.py").write_text("def f(:\n")
    found = find_script("train.py", ())
    with pytest.raises(SyntaxError) as raised:
        found.run()
    assert own_traceback(raised.value) is None


def test_scripts_leave_no_compiled_file(own_process: Path) -> None:
    (own_process / "train.py").write_text("x = 1\n")
    find_script("train.py", ()).run()
    assert [path.name for path in own_process.iterdir()] == ["train.py"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nothing_like_it", "there is none named nothing_like_it"),
        ("nothing_like_it.inner", "there is none named nothing_like_it.inner"),
        ("folder", "there is none named folder"),
        ("broken.inner", r"cannot be imported \(RuntimeError: no driver\)"),
        ("needy.inner", r"cannot be imported \(ModuleNotFoundError: No module named 'nowhere'\)"),
        ("..", "cannot be imported|there is none"),
    ],
)
def test_modules_that_cannot_be_run_are_refused(own_process: Path, name: str, reason: str) -> None:
    (own_process / "folder").mkdir()
    for package, text in (
        ("broken", "raise RuntimeError('no driver')"),
        ("needy", "import nowhere"),
    ):
        (own_process / package).mkdir()
        (own_process / package / "__init__.py").write_text(text)
    with pytest.raises(UsageError, match=reason):
        find_module(name, ())


def test_safe_mode_puts_no_folder_on_the_search_path(
    own_process: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_process / "train.py").write_text("x = 1\n")

    class Flags:
        safe_path = True

    before = list(sys.path)
    monkeypatch.setattr(program.sys, "flags", Flags())
    find_script("train.py", ()).run()
    assert sys.path == before
