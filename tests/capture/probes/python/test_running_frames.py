"""The frames of all threads are taken without the deadlock that the garbage collector can cause."""

import gc
import subprocess
import sys
import threading

from pipeprof.capture.probes.python.running_frames import frames_by_thread

# The collector comes while frames are taken, and finds a threading.local: sys._current_frames hangs here.
COLLECTING = """
import gc, threading
from pipeprof.capture.probes.python.running_frames import frames_by_thread

class Holder:
    pass

def leave_garbage():
    holder = Holder()
    holder.local = threading.local()
    holder.local.value = holder.itself = holder

done = threading.Event()
threads = [threading.Thread(target=done.wait) for _ in range(50)]
for thread in threads:
    thread.start()
gc.collect()
gc.disable()
for _ in range(50):
    leave_garbage()
gc.set_threshold(gc.get_count()[0] + 20)
gc.enable()
print(len(frames_by_thread()))
done.set()
"""


def test_they_are_those_of_all_threads() -> None:
    done = threading.Event()
    waiting = threading.Thread(target=done.wait)
    waiting.start()
    frames = frames_by_thread()
    done.set()
    waiting.join()
    assert frames[threading.get_ident()].f_code.co_name == "test_they_are_those_of_all_threads"
    assert waiting.ident in frames


def test_the_garbage_collector_is_left_as_it_was() -> None:
    assert gc.isenabled()
    frames_by_thread()
    assert gc.isenabled()
    gc.disable()
    try:
        frames_by_thread()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_garbage_with_values_of_threads_does_not_stop_the_program() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", COLLECTING], capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "51\n", "")
