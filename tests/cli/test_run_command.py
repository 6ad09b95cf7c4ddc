"""``pipeprof run`` passes everything of the script through, and reports beside it."""

import json
import signal
import subprocess

import pytest

import pipeprof
from tests.cli.conftest import Shell

# Each starts Python anew.
pytestmark = [pytest.mark.integration, pytest.mark.quick]

FOREVER = "import signal\nprint('ready', flush=True)\nwhile True:\n    signal.pause()\n"


def test_standard_output_is_the_scripts_own(shell: Shell) -> None:
    shell.write("train.py", "import sys\nprint(*sys.argv[1:])\n")
    outcome = shell.run("--name", "first", "train.py", "--name", "x", "--json", "-m", "--help")
    assert (outcome.code, outcome.out) == (0, "--name x --json -m --help\n")
    assert "no training loop was seen" in outcome.err
    assert "pipeprof.profile" not in outcome.err
    assert "Saved as first. Show it again: pipeprof report" in outcome.err
    assert [folder.name for folder in shell.run_folders()] == ["first"]


# Python looks for cycles all the time here, and says afterwards how often since the last line.
COUNTS_COLLECTIONS = """
import atexit, gc, sys
found = []
gc.callbacks.append(lambda phase, info: found.append(phase))
atexit.register(lambda: print(len(found), gc.isenabled()))
gc.set_threshold(1, 1, 1)
if 'off' in sys.argv:
    gc.disable()
found.clear()
"""


def test_python_looks_for_no_cycles_until_the_report_is_written(shell: Shell) -> None:
    shell.write("train.py", COUNTS_COLLECTIONS)
    count, enabled = shell.run("train.py").out.split()
    assert int(count) < 300
    assert enabled == "True"


def test_a_script_that_looks_for_no_cycles_itself_stays_so(shell: Shell) -> None:
    shell.write("train.py", COUNTS_COLLECTIONS)
    assert shell.run("train.py", "off").out.split() == ["0", "False"]


def test_a_rank_that_only_the_script_knows_has_its_place_among_the_others(shell: Shell) -> None:
    shell.write(
        "train.py",
        "import json, os, sys\n"
        "task = {'type': 'worker', 'index': int(sys.argv[1])}\n"
        "cluster = {'worker': ['localhost:1', 'localhost:2']}\n"
        "os.environ['TF_CONFIG'] = json.dumps({'cluster': cluster, 'task': task})\n",
    )
    outcome = shell.run("--name", "first", "train.py", "1")
    assert "Saved as first-ranks. Show all ranks: pipeprof report" in outcome.err
    (run,) = shell.run_folders()
    assert run.name == "first-ranks"
    assert [folder.name for folder in run.iterdir() if folder.is_dir()] == ["rank-1"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("missing.py",), "missing.py cannot be read (No such file or directory)"),
        ((".",), ". cannot be read (Is a directory)"),
        (("-m", "missing"), "there is none named missing"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_recorded(
    shell: Shell, arguments: tuple[str, ...], reason: str
) -> None:
    outcome = shell.run(*arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("pipeprof: expected a Python")
    assert reason in outcome.err
    assert outcome.err.count("\n") == 1
    assert not (shell.folder / "logs").exists()


def test_a_script_that_python_cannot_read_leaves_no_run(shell: Shell) -> None:
    shell.write("train.py", "def load(:\n")
    expected = shell.python("train.py")
    outcome = shell.run("train.py")
    assert (outcome.code, outcome.err) == (expected.code, expected.err)
    assert outcome.code == 1
    assert not (shell.folder / "logs").exists()


def test_an_exception_is_shown_as_by_python_and_reported(shell: Shell) -> None:
    shell.write("train.py", "def load():\n    raise ValueError('bad file')\n\nload()\n")
    expected = shell.python("train.py")
    outcome = shell.run("train.py")
    assert outcome.code == expected.code == 1
    assert outcome.err.startswith(expected.err)
    assert "The training ended with an exception: ValueError: bad file" in outcome.err
    again = shell.python("-m", "pipeprof", "report")
    assert "The training ended with an exception: ValueError: bad file" in again.out


def test_the_scripts_own_hook_for_exceptions_is_used(shell: Shell) -> None:
    shell.write(
        "train.py",
        "import sys\nsys.excepthook = lambda *args: print('hook', args[1])\nraise ValueError('bad')\n",
    )
    assert shell.run("train.py").out == "hook bad\n"


@pytest.mark.parametrize(
    ("argument", "code", "said"), [("3", 3, ""), ("None", 0, ""), ("'no data'", 1, "no data\n")]
)
def test_sys_exit_is_passed_through(shell: Shell, argument: str, code: int, said: str) -> None:
    shell.write("train.py", f"import sys\nsys.exit({argument})\n")
    outcome = shell.run("--json", "report.json", "train.py")
    assert (outcome.code, outcome.out) == (code, "")
    assert outcome.err.startswith(f"{said}\n  run ")
    report = json.loads((shell.folder / "report.json").read_text())
    assert report["run"]["exit"] == code


def test_json_is_written_where_the_script_was_started(shell: Shell) -> None:
    shell.write("train.py", "import os\nos.mkdir('sub')\nos.chdir('sub')\n")
    assert shell.run("--json", "report.json", "--logdir", "logs", "train.py").code == 0
    report = json.loads((shell.folder / "report.json").read_text())
    assert report["diagnosis"]["bound"] == "unknown"
    assert [folder.name for folder in shell.run_folders("logs")] == [report["run"]["name"]]


def test_html_is_written_too(shell: Shell) -> None:
    shell.write("train.py", "")
    assert shell.run("--html", "report.html", "train.py").code == 0
    assert "no training loop was seen" in (shell.folder / "report.html").read_text()


@pytest.mark.parametrize(("script", "code"), [("", 2), ("import sys; sys.exit(3)", 3)])
def test_json_that_cannot_be_written_costs_nothing_else(
    shell: Shell, script: str, code: int
) -> None:
    (shell.folder / "gone").mkdir()
    shell.write("train.py", f"import os; os.rmdir('gone')\n{script}")
    outcome = shell.run("--json", "gone/report.json", "train.py")
    assert outcome.code == code
    assert "no training loop was seen" in outcome.err
    assert "pipeprof: expected a file that can be written" in outcome.err


def test_training_goes_on_where_nothing_can_be_written(shell: Shell) -> None:
    shell.write("train.py", "print('trained')\n")
    shell.write("taken", "")
    outcome = shell.run("--logdir", "taken", "train.py")
    assert (outcome.code, outcome.out) == (0, "trained\n")
    assert "The run could not be written to" in outcome.err
    assert "choose another folder with --logdir." in outcome.err
    assert "Saved as" not in outcome.err


def test_a_profile_inside_is_refused_where_the_script_makes_it(shell: Shell) -> None:
    shell.write("train.py", "import pipeprof\nwith pipeprof.profile([1]):\n    print('on')\n")
    outcome = shell.run("train.py")
    assert (outcome.code, outcome.out) == (1, "")
    assert "UsageError: expected no other profile to be on" in outcome.err


# On a machine that has other work the report may take longer than a scheduler gives to a process.
UNHURRIED = """
from pipeprof.cli import main, signals
signals.LAST_ACTION_S = 60
main()
"""


def _end(shell: Shell, number: signal.Signals, *, hurried: bool = False) -> tuple[int, str]:
    start = ("-m", "pipeprof") if hurried else ("-c", UNHURRIED)
    process = shell.start(*start, "run", "--name", "first", "train.py")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    assert out == ""
    return process.returncode, err


def test_ctrl_c_ends_with_a_report(shell: Shell) -> None:
    shell.write("train.py", FOREVER)
    code, err = _end(shell, signal.SIGINT)
    assert code == -signal.SIGINT  # a loop of a shell ends with it
    assert err.startswith("\n  run first")
    assert "Saved as first" in err
    assert "Traceback" not in err
    assert pipeprof.load(shell.run_folders()[0]).profile.run.exit_code == 130


def test_what_the_script_makes_of_ctrl_c_is_its_own(shell: Shell) -> None:
    shell.write(
        "train.py",
        "import atexit, signal, sys\n"
        "atexit.register(print, 'exit handler', file=sys.stderr)\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    signal.pause()\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(4)\n",
    )
    code, err = _end(shell, signal.SIGINT)
    assert code == 4
    assert "exit handler" in err


def test_a_second_ctrl_c_does_not_cut_the_report_off(shell: Shell) -> None:
    # Presses it again at the moment when the first has come through the script.
    shell.write(
        "train.py",
        "import os, signal, sys\n"
        "class Stubborn:\n"
        "    def flush(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        sys.stdout = sys.__stdout__\n"
        "    def write(self, text):\n"
        "        return len(text)\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    signal.pause()\n"
        "finally:\n"
        "    sys.stdout = Stubborn()\n",
    )
    code, err = _end(shell, signal.SIGINT)
    assert code == -signal.SIGINT
    assert "Saved as first" in err


# What the main thread is at when SIGTERM comes: none but the last returns to Python within the test.
AT_WORK = {
    "sleep": "time.sleep(600)",
    "lock": "threading.Lock().acquire() and held.acquire()",
    "numpy": "numpy.linalg.svd(numpy.ones((6000, 6000)))",
    "python": "while True: pass",
}


@pytest.mark.parametrize("at_work", AT_WORK)
def test_sigterm_ends_at_once_and_with_a_report(shell: Shell, at_work: str) -> None:
    shell.write(
        "train.py",
        "import atexit, threading, time, numpy\n"
        "held = threading.Lock()\n"
        "held.acquire()\n"
        "atexit.register(print, 'exit handler')\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        f"    {AT_WORK[at_work]}\n"
        "finally:\n"
        "    print('finally', flush=True)\n",
    )
    code, err = _end(shell, signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert "The training was ended by SIGTERM." in err
    assert "exception" not in err
    assert "Saved as first" in err
    run = pipeprof.load(shell.run_folders()[0]).profile.run
    assert (run.ended_by, run.exit_code, run.complete) == ("SIGTERM", None, True)


def test_a_run_that_cannot_be_finished_in_time_is_recovered(shell: Shell) -> None:
    shell.write(
        "train.py",
        "import signal\n"
        "from pipeprof.capture.run_writer import RunWriter\n"
        "RunWriter.finish = lambda *arguments: signal.pause()\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n",
    )
    code, err = _end(shell, signal.SIGTERM, hurried=True)
    assert (code, err) == (-signal.SIGTERM, "")
    run = pipeprof.load(shell.run_folders()[0]).profile.run
    assert (run.ended_by, run.complete) == ("SIGTERM", False)


def test_a_handler_of_the_script_stays_in_force(shell: Shell) -> None:
    shell.write(
        "train.py",
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(7))\n"
        "print('ready', flush=True)\n"
        "signal.pause()\n",
    )
    code, err = _end(shell, signal.SIGTERM)
    assert code == 7
    assert "SIGTERM" not in err
    assert "Saved as first" in err


def test_sigterm_is_seen_where_the_script_has_a_wakeup_descriptor_of_its_own(shell: Shell) -> None:
    shell.write(
        "train.py",
        "import signal\nsignal.set_wakeup_fd(-1)\nprint('ready', flush=True)\nsignal.pause()\n",
    )
    code, err = _end(shell, signal.SIGTERM)
    assert code == -signal.SIGTERM
    assert "The training was ended by SIGTERM." in err
