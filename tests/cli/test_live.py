"""``pipeprof run --live`` on a terminal that is emulated, and where there is none."""

import os
import pty
import struct
import subprocess
import sys
import termios
from fcntl import ioctl

import pyte
import pytest

from tests.cli.conftest import Shell

pytestmark = [pytest.mark.integration, pytest.mark.quick]

ROWS, COLUMNS = 30, 90

# A loop that waits for nearly all of its time, with something to say all along; it goes on until the
# live view was seen, which a line reports on standard input.
SCRIPT = """
import select, sys, time
import pipeprof.capture.session

def batches():
    while True:
        time.sleep(0.004)
        yield [0.0]

print("training begins", flush=True)
for number, batch in enumerate(batches()):
    with pipeprof.capture.session.active().step():
        pass
    if number % 25 == 0:
        sys.stderr.write(f"\\rstep {number:6}")
        sys.stderr.flush()
    if number % 25 == 0 and select.select([sys.stdin], [], [], 0)[0]:
        break
print("\\ntraining ended", flush=True)
"""


def test_the_state_is_shown_below_the_scripts_own_output(shell: Shell) -> None:
    shell.write("train.py", SCRIPT)
    outside, inside = pty.openpty()
    ioctl(outside, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    screen = pyte.Screen(COLUMNS, ROWS)
    parser = pyte.ByteStream(screen)
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeprof", "run", "--live", "train.py"],
        cwd=shell.folder,
        stdin=inside,
        stdout=inside,
        stderr=inside,
    )
    os.close(inside)
    during: list[str] = []
    with os.fdopen(outside, "r+b", buffering=0) as terminal:
        while data := _read(terminal.fileno()):
            parser.feed(data)
            rows = [row.rstrip() for row in screen.display]
            if not during and rows[-4].startswith(" hand-written loop") and "step" in rows[-4]:
                during = rows
                terminal.write(b"\n")
    assert process.wait() == 0

    assert during[-5] == "─" * COLUMNS
    above = "\n".join(during[:-5])
    assert "training begins" in above
    assert "step" in above
    after = [row.rstrip() for row in screen.display]
    assert not any(row.startswith("──") for row in after)
    assert any("Saved as" in row for row in after)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the program is over, and with it the terminal's other end
        return b""


def test_where_there_is_no_terminal_the_training_goes_on_and_is_reported(shell: Shell) -> None:
    shell.write("train.py", "print('trained')")
    done = shell.run("--live", "train.py")

    assert (done.code, done.out) == (0, "trained\n")
    assert "standard error is no terminal, so there is no live view." in done.err
