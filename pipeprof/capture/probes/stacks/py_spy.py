"""py-spy, run beside a process to read its Python stacks from outside.

py-spy looks into the memory of the other process, which the system may refuse; that and everything
else that can go wrong is one error, `StacksUnavailable`, with what to do. It is told not to halt the
process, so that nothing there is disturbed: a stack that changes while it is read may mix two moments.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from pipeprof.errors import StacksUnavailable
from pipeprof.recording.python_stacks import SampledStack, ThreadStack, read_dump, read_raw

SAMPLE_HZ = 100

# Processes of py-spy that this process has started: part of the looking, not of what is looked at.
running: set[int] = set()

_PROC = Path("/proc")
_PTRACE_SCOPE = Path("/proc/sys/kernel/yama/ptrace_scope")
_REFUSED = ("permission denied", "operation not permitted", "os error 1)", "os error 13)")
_NO_PYTHON = ("python version", "python interpreter", "executable name")
_DUMP_TIMEOUT_S = 10.0
# What py-spy says, among others, of stacks that changed while it followed them: nobody was halted.
_CHANGED = "Failed to get stack traces"
_DUMP_TRIES = 10
# py-spy needs a moment to find its way into a large process before its time begins to count.
_SLACK_S = 20.0
_END_TIMEOUT_S, _END_TRIES = 1.0, 5


def dump(pid: int, *, timeout_s: float = _DUMP_TIMEOUT_S) -> tuple[ThreadStack, ...]:
    """Reads the stacks of all Python threads of a process, once.

    Args:
        pid: the process.
        timeout_s: how long to wait for py-spy.

    Raises:
        StacksUnavailable: they could not be read.
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
    """A window in which py-spy samples a process; it goes on by itself until it is collected.

    Args:
        pid: the process.
        seconds: how long.
        hz: samples a second.
        gil: sees only the thread that holds the interpreter's lock; without it all threads, those
            that wait too.
        subprocesses: its child processes as well.

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
        self.moments = seconds * hz
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
        """Whether it has come to its end."""
        return self._process.poll() is not None

    def cut_short(self) -> None:
        """Ends it now; what was seen until then, be it nothing, can be collected."""
        # On this signal py-spy writes what it has, or is gone if it has not begun yet.
        self._process.send_signal(signal.SIGINT)
        self._cut_short = True

    def collect(self) -> tuple[SampledStack, ...]:
        """Waits for its end, unless it is `done`, and gives what was seen.

        Raises:
            StacksUnavailable: nothing could be seen.
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
        """Waits for the end of its time, or only for it to write what it has when it was cut short."""
        if not self._cut_short:
            self._process.wait(self._timeout_s)
            return
        for _ in range(_END_TRIES):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_TIMEOUT_S)
                return
            # A shell that starts a script in the background has it ignore this signal, and py-spy does
            # so, too, until it has begun.
            self._process.send_signal(signal.SIGINT)
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends it where it still runs, and removes what it wrote."""
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


def _unavailable(pid: int, said: str) -> StacksUnavailable:
    """What py-spy said, in a person's words."""
    first = next((line.removeprefix("Error: ") for line in said.splitlines() if line.strip()), "")
    lower = said.lower()
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
    """What to do so that the system permits it."""
    if user not in (0, owner):
        return "run pipeprof as the user who owns it, or with sudo"
    try:
        scope = scope_file.read_text().strip()
    except OSError:
        scope = "0"
    if scope != "0":
        return "sudo sysctl kernel.yama.ptrace_scope=0"
    return "in a container: docker run --cap-add SYS_PTRACE"
