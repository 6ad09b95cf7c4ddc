"""Runs a script without a profile and with one.

Its first argument is ``plain`` or ``watched``, the second one the folder to record in.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def outputs(script: Path, logdir: Path) -> tuple[str, str]:
    """What the script prints without a profile, and with one."""
    plain, watched = (_printed(script, how, logdir) for how in ("plain", "watched"))
    return plain, watched


def _printed(script: Path, how: str, logdir: Path) -> str:
    done = subprocess.run(
        [sys.executable, str(script), how, str(logdir)],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
