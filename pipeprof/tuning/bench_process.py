"""A bench in a process of its own: a trial that hangs or dies ends that process and not the tuning.

Both sides write a JSON document a line. `ProcessBench` is the side of the tuner, `main` that of the trials.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from pipeprof.errors import PipeprofError, TuningRefused, UsageError, describe_error
from pipeprof.recording.pipeline_edits import Edit, edit_from_dict, edit_to_dict
from pipeprof.recording.tuning_outcome import Description, TrialSteps, described, plain
from pipeprof.tuning.consuming import Limits

BESIDE_TRIAL_S = 30.0
_TO_BEGIN_S = 300.0
_END_S = 5.0
_KEPT_OUTPUT = 4000


class _Task(Enum):
    """What the other process is asked to do."""

    DESCRIBE = "describe"
    RECORD = "record"
    TRIAL = "trial"
    CEILING = "ceiling"
    COMPARE = "compare"
    PREDICT = "predict"


class ProcessBench:
    """Runs trials in another process, which is begun again where one of them ends it.

    Args:
        serves: what comes behind ``python`` to begin the process: a module that calls `serve`; its last
            two arguments are the numbers of the pipes.
        most_s: how long one trial may measure at the most.
        beside_s: how long it may take beside that: it begins, traces functions, starts workers.
    """

    def __init__(
        self, serves: Sequence[str], most_s: float, beside_s: float = BESIDE_TRIAL_S
    ) -> None:
        self._serves = tuple(serves)
        self._most_s = most_s
        self._beside_s = beside_s
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = -1
        self._questions = -1
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        # The process may be ended while it writes there: what it leaves is removed here.
        self._folder = tempfile.TemporaryDirectory(prefix="pipeprof-tune-")
        self._rest = b""

    def __enter__(self) -> "ProcessBench":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._output.close()
        self._folder.cleanup()

    def describe(self) -> Description:
        """What the input consists of.

        Raises:
            UsageError: the function cannot be found, or makes nothing that can be tuned.
            TuningRefused: what it makes cannot be changed.
        """
        return described(self._ask({"do": _Task.DESCRIBE.value}, _TO_BEGIN_S))

    def trial(self, edits: Sequence[Edit], limits: Limits) -> TrialSteps:
        """Consumes the input with changes.

        Raises:
            TuningRefused: the input does not take them, or the trial raised, hung or died.
        """
        answer = self._ask(_question(_Task.TRIAL, edits, limits), self._seconds(limits))
        return TrialSteps(step_ns=tuple(answer))

    def ceiling(self, limits: Limits) -> TrialSteps | None:
        """Trains with input for free; None without a model."""
        answer = self._ask(_question(_Task.CEILING, (), limits), self._seconds(limits))
        return None if answer is None else TrialSteps(step_ns=tuple(answer))

    def compare(self, edits: Sequence[Edit]) -> str | None:
        """What is delivered differently with these changes, or None."""
        answer = self._ask(_question(_Task.COMPARE, edits, Limits()), self._most_s + self._beside_s)
        return None if answer is None else str(answer)

    def predict(self, edits: Sequence[Edit]) -> float | None:
        """The step time to expect of these changes, in nanoseconds; None where that is not known."""
        question = _question(_Task.PREDICT, edits, Limits()) | {"folder": self._folder.name}
        answer = self._ask(question, self._most_s + self._beside_s)
        return None if answer is None else float(answer)

    def record(self, logdir: Path) -> str | None:
        """Records today's input as a run of a log folder; its name, or None where that failed."""
        question = {"do": _Task.RECORD.value, "logdir": str(logdir)}
        answer = self._ask(question, self._most_s + self._beside_s)
        return None if answer is None else str(answer)

    def _seconds(self, limits: Limits) -> float:
        return min(limits.latest_ns / 1e9, self._most_s) + self._beside_s

    def _ask(self, question: dict[str, Any], within_s: float) -> Any:
        until = time.monotonic() + within_s
        if self._process is None:
            self._begin()
            within_s += _TO_BEGIN_S
            until += _TO_BEGIN_S
        try:
            os.write(self._questions, json.dumps(question).encode() + b"\n")
            answer = self._read(until)
        except BrokenPipeError:
            answer = None
        except KeyboardInterrupt:
            self._end()
            raise
        if answer is None:
            raise TuningRefused(self._why_ended(within_s))
        match answer:
            case {"refused": reason}:
                raise TuningRefused(reason)
            case {"unusable": reason}:
                raise UsageError(reason)
            case {"failed": reason}:
                raise TuningRefused(f"it raised {reason}")
        return answer["gave"]

    def _begin(self) -> None:
        their_questions, self._questions = os.pipe()
        self._answers, their_answers = os.pipe()
        self._rest = b""
        self._output.seek(0)
        self._output.truncate()
        pipes = (str(their_questions), str(their_answers))
        command = [sys.executable, *self._serves, *pipes]
        paths = os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)])
        self._process = subprocess.Popen(
            command,
            pass_fds=(their_questions, their_answers),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            env=os.environ | {"PYTHONPATH": paths, "TF_CPP_MIN_LOG_LEVEL": "3"},
            start_new_session=True,
        )
        os.close(their_questions)
        os.close(their_answers)

    def _read(self, until: float) -> dict[str, Any] | None:
        """The next answer; None where there is none in time, or never will be."""
        while b"\n" not in self._rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                return None
            more = os.read(self._answers, 1 << 16)
            if not more:
                return None
            self._rest += more
        line, _, self._rest = self._rest.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _why_ended(self, within_s: float) -> str:
        process = self._process
        with contextlib.suppress(subprocess.TimeoutExpired):
            if process is not None:
                process.wait(1.0)
        code = process.poll() if process is not None else None
        self._end()
        if code is None:
            return f"it hung: its process was ended after {within_s:.0f} s"
        if code == -signal.SIGKILL:
            return "its process was killed: most often for want of memory"
        return f"its process ended with exit code {code}{self._last_words()}"

    def _last_words(self) -> str:
        self._output.seek(0, os.SEEK_END)
        self._output.seek(max(self._output.tell() - _KEPT_OUTPUT, 0))
        lines = self._output.read().decode(errors="replace").strip().splitlines()
        return f" ({lines[-1].strip()})" if lines else ""

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for number in (self._questions, self._answers):
            os.close(number)
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        # Its workers outlive it where it died: they wait for it, and nobody else ends them.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _question(task: _Task, edits: Sequence[Edit], limits: Limits) -> dict[str, Any]:
    return {
        "do": task.value,
        "edits": [edit_to_dict(edit) for edit in edits],
        "limits": asdict(limits),
    }


def of_function(name: str) -> tuple[str, ...]:
    """What begins the process for the input that ``MODULE:FUNCTION`` makes."""
    return ("-m", __name__, name)


def serve(make_bench: Callable[[], Any], questions: int, answers: int) -> None:
    """Answers questions about one input until there are no more.

    Args:
        make_bench: makes the bench, which is a `pipeprof.tuning.workbench.Workbench`; called once.
        questions: number of the pipe to read from.
        answers: number of the pipe to write to.
    """
    bench: Any = None
    with os.fdopen(questions) as asked, os.fdopen(answers, "w", buffering=1) as answered:
        for line in asked:
            with _failures_to(answered):
                if bench is None:
                    bench = make_bench()
                answered.write(json.dumps({"gave": _answer(bench, json.loads(line))}) + "\n")


@contextlib.contextmanager
def _failures_to(answers: Any) -> Iterator[None]:
    """Answers with what was raised, if anything was."""
    try:
        yield
    except TuningRefused as refused:
        answers.write(json.dumps({"refused": str(refused)}) + "\n")
    except PipeprofError as error:
        answers.write(json.dumps({"unusable": str(error)}) + "\n")
    except Exception as error:  # whatever the user's code raises in a trial
        answers.write(json.dumps({"failed": describe_error(error)}) + "\n")


def _answer(bench: Any, question: dict[str, Any]) -> Any:
    edits = tuple(map(edit_from_dict, question.get("edits", ())))
    limits = Limits(**question.get("limits", {}))
    match _Task(question["do"]):
        case _Task.DESCRIBE:
            return plain(bench.describe())
        case _Task.RECORD:
            return bench.record(Path(question["logdir"]))
        case _Task.TRIAL:
            return bench.trial(edits, limits).step_ns
        case _Task.CEILING:
            steps = bench.ceiling(limits)
            return steps and steps.step_ns
        case _Task.COMPARE:
            return bench.compare(edits)
        case _Task.PREDICT:
            return bench.predict(edits, Path(question["folder"]))


def main() -> None:
    """Serves the input of a function."""
    from pipeprof.tuning.subject import find_function, make_subject
    from pipeprof.tuning.workbench import Workbench

    name, questions, answers = sys.argv[1:]
    serve(lambda: Workbench(make_subject(find_function(name)), name), int(questions), int(answers))


if __name__ == "__main__":
    main()
