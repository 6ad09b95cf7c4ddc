"""The files of one recorded process."""

import os
from pathlib import Path

from pipeprof.capture.recorder.recorder import host_name
from pipeprof.runs.run_file import RunFile


def test_a_process_that_took_the_number_over_is_not_the_recording_one(tmp_path: Path) -> None:
    file = RunFile(tmp_path, f"{host_name()}-{os.getpid()}")
    file.path.write_text("{}")
    assert file.is_alive()

    os.utime(file.path, (0, 0))  # written long before this process began

    assert not file.is_alive()
