"""Runs py-spy beside a process to read its Python stacks from outside.

py-spy reads the memory of the other process. The system may refuse this; a refusal and every other failure
is a `StacksUnavailable` with what to do. py-spy runs with an option not to halt the process, so that the
training is not disturbed: a stack that changes while it is read may mix two moments.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeprof.capture.probes.system.own_processes import running
from pipeprof.errors import StacksUnavailable
from pipeprof.recording.python_stacks import SampledStack, ThreadStack, read_dump, read_raw

SAMPLE_HZ = 100

_PROC = Path("/proc")
_PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
_REFUSED = ("permission denied", "operation not permitted", "os error 1)", "os error 13)")
_NO_PYTHON = ("python version", "python interpreter", "executable name")
_DUMP_TIMEOUT_S = 10.0
# Part of py-spy's message when a stack changed while it was read, because the process was not halted.
_CHANGED = "Failed to get stack traces"
_DUMP_TRIES = 10
# py-spy needs some time to look through a large process before its duration begins to count.
_SLACK_S = 20.0
_END_TIMEOUT_S, _END_TRIES = 1.0, 5


def dump(pid: int, *, timeout_s: float = _DUMP_TIMEOUT_S) -> tuple[ThreadStack, ...]:
    """Reads the stacks of all Python threads of a process, once.

    Args:
        pid: the process.
        timeout_s: how long to wait for py-spy.

    Raises:
        StacksUnavailable: the stacks could not be read.
    """
    command = [find_command(pid), "dump", "--json", "--nonblocking", "--pid", str(pid)]
    try:
        for _ in range(_DUMP_TRIES):
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
            )
            if done.returncode == 0:
                return read_dump(done.stdout)
            if _CHANGED not in done.stderr:
                break
        raise _unavailable(pid, done.stderr)
    except subprocess.TimeoutExpired:
        raise _unavailable(pid, f"py-spy did not answer within {timeout_s:g} s") from None
    except (OSError, ValueError) as error:
        raise _unavailable(pid, str(error)) from error


class Recording:
    """A running py-spy that samples the stacks of a process for some seconds.

    Args:
        pid: the process.
        seconds: how long py-spy samples.
        hz: samples a second.
        gil: whether to sample only the thread that holds the GIL, and not all threads, waiting ones too.
        subprocesses: whether to sample child processes as well.

    Attributes:
        sample_count: samples that py-spy takes in this time.

    Raises:
        StacksUnavailable: py-spy could not be started.
    """

    def __init__(
        self,
        pid: int,
        *,
        seconds: int,
        hz: int = SAMPLE_HZ,
        gil: bool = False,
        subprocesses: bool = False,
    ) -> None:
        self.sample_count = seconds * hz
        self._pid = pid
        self._timeout_s = seconds + _SLACK_S
        command = [find_command(pid), "record", "--pid", str(pid), "--format", "raw", "--threads"]
        command += ["--duration", str(seconds), "--rate", str(hz), "--full-filenames"]
        command += ["--nonblocking", "--gil" if gil else "--idle"]
        command += ["--subprocesses"] if subprocesses else []
        # Files, not pipes: nobody has to read them for py-spy to go on.
        self._folder = _make_folder(pid)
        self._errors, self._stacks = self._folder / "errors", self._folder / "stacks"
        try:
            with self._errors.open("wb") as errors:
                self._process = subprocess.Popen(
                    [*command, "--output", str(self._stacks)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,  # Ctrl-C in the terminal is not for it
                )
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise _unavailable(pid, str(error)) from error
        self._cut_short = False
        running.add(self._process.pid)

    @property
    def done(self) -> bool:
        """Whether py-spy has ended."""
        return self._process.poll() is not None

    def cut_short(self) -> None:
        """Ends py-spy now; the stacks sampled until then, perhaps none, can be collected."""
        # On this signal py-spy writes its samples, or just ends if it has not begun to sample.
        self._process.send_signal(signal.SIGINT)
        self._cut_short = True

    def collect(self) -> tuple[SampledStack, ...]:
        """Waits until py-spy has ended and returns the sampled stacks.

        Raises:
            StacksUnavailable: no stacks could be read.
        """
        try:
            self._wait()
            if self._cut_short and self._process.returncode < 0:
                return ()
            if self._process.returncode:
                raise _unavailable(self._pid, self._errors.read_text(errors="replace"))
            text = self._stacks.read_text(errors="replace")
            return read_raw(text.splitlines(), self._pid)
        except subprocess.TimeoutExpired:
            raise _unavailable(self._pid, "py-spy did not come to its end") from None
        except OSError as error:
            raise _unavailable(self._pid, str(error)) from error
        finally:
            self.close()

    def _wait(self) -> None:
        """Waits until py-spy has written its samples and ended."""
        if not self._cut_short:
            self._process.wait(self._timeout_s)
            return
        for _ in range(_END_TRIES):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_TIMEOUT_S)
                return
            # Scripts that a shell starts in the background ignore this signal, and py-spy as their child
            # does so too until it has begun to sample.
            self._process.send_signal(signal.SIGINT)
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends py-spy if it still runs, and removes its files."""
        if self._process.poll() is None:
            self.cut_short()
            self._wait()
        running.discard(self._process.pid)
        shutil.rmtree(self._folder, ignore_errors=True)


def _make_folder(pid: int) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="pipeprof-"))
    except OSError as error:
        raise _unavailable(pid, str(error)) from error


def find_command(pid: int) -> str:
    """Path of py-spy; raises `StacksUnavailable` where it is not installed."""
    beside = Path(sys.executable).with_name("py-spy")
    command = str(beside) if beside.exists() else shutil.which("py-spy")
    if command is None:
        raise StacksUnavailable(pid, "py-spy is not installed", "pip install py-spy")
    return command


def _unavailable(pid: int, message: str) -> StacksUnavailable:
    """The error for a message of py-spy or of the system, in words for the user."""
    lines = [line for line in message.splitlines() if line.strip()]
    first = lines[0].removeprefix("Error: ") if lines else ""
    lower = message.lower()
    try:
        owner = (_PROC / str(pid)).stat().st_uid
    except OSError:
        return StacksUnavailable(pid, "there is no such process", "look for its number with ps")
    if any(each in lower for each in _REFUSED):
        return StacksUnavailable(pid, "the system refuses it", refusal_remedy(owner, os.geteuid()))
    if any(each in lower for each in _NO_PYTHON):
        return StacksUnavailable(pid, "it runs no Python", "give the number of a Python process")
    return StacksUnavailable(pid, first or "py-spy gave no reason", "try it again")


def refusal_remedy(owner: int, user: int, scope_file: Path = _PTRACE_SCOPE) -> str:
    """What the user can do so that the system permits py-spy to read a process.

    Args:
        owner: id of the user who owns the process.
        user: id of the user who runs pipeprof.
        scope_file: where the kernel shows Yama's rule; for tests.
    """
    if user not in (0, owner):
        return "run pipeprof as the user who owns it, or with sudo"
    try:
        scope = scope_file.read_text().strip()
    except OSError:
        scope = "0"
    if scope != "0":
        return "sudo sysctl kernel.yama.ptrace_scope=0"
    return "in a container: docker run --cap-add SYS_PTRACE"
