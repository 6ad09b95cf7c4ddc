import concurrent.futures
import queue
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any, cast

import pytest

from pipeprof.capture.probes.python.running_frames import frames_by_thread
from pipeprof.capture.probes.python.thread_places import (
    PlaceReader,
    ThreadPlace,
    blocked_for_room,
    called_at,
    qualified_name,
)
from pipeprof.recording.account import HostState
from pipeprof.recording.source_code import Location

INSTALLED = "/usr/lib/python3.11/site-packages/"


@dataclass(frozen=True)
class FakeCode:
    co_filename: str
    co_name: str
    co_qualname: str


@dataclass(frozen=True, eq=False)
class FakeFrame:
    f_code: FakeCode
    f_lineno: int
    f_back: "FakeFrame | None" = None
    f_globals: dict[str, object] = field(default_factory=dict)
    f_lasti: int = 0


def stack(*calls: tuple[str, str, str]) -> FrameType:
    """The innermost frame of a stack; calls are file, module and qualified name, the outermost first."""
    frame: FakeFrame | None = None
    for line, (file, module, name) in enumerate(calls, 1):
        made = FakeCode(file, name.rpartition(".")[2], name)
        frame = FakeFrame(made, line, frame, {"__name__": module})
    return cast(FrameType, frame)


SCRIPT = ("/home/me/train.py", "__main__", "<module>")
ACT = ("/home/me/agent.py", "agent", "Agent.act")
PREDICT = (
    (
        f"{INSTALLED}keras/src/utils/traceback_utils.py",
        "keras.src.utils.traceback_utils",
        "error_handler",
    ),
    (f"{INSTALLED}keras/src/trainer.py", "keras.src.trainer", "TensorFlowTrainer.predict"),
    (f"{INSTALLED}tensorflow/python/eager/function.py", "tensorflow.python.eager.function", "call"),
)
PROBE = (f"{INSTALLED}pipeprof/keras_probe.py", "pipeprof.keras_probe", "loop")
NEXT = (
    f"{INSTALLED}tensorflow/python/iterator_ops.py",
    "tensorflow.python.ops",
    "OwnedIterator.__next__",
)
NUMPY = (f"{INSTALLED}numpy/core/fromnumeric.py", "numpy.core.fromnumeric", "sum")
GET = ("/usr/lib/python3.11/queue.py", "queue", "Queue.get")
WAIT = ("/usr/lib/python3.11/threading.py", "threading", "Condition.wait")
GENERATED = ("/tmp/__autograph_generated_file1.py", "__main__", "tf__train")


def read(frame: FrameType, *, sleeps: bool = False) -> ThreadPlace | None:
    return PlaceReader().read(frame, lambda: sleeps)


@pytest.mark.parametrize(
    ("inside", "state", "detail"),
    [
        ((), HostState.OWN_CODE, None),
        ((NUMPY,), HostState.OWN_CODE, None),
        (PREDICT, HostState.FRAMEWORK, "Model.predict"),
        (PREDICT[:1], HostState.FRAMEWORK, None),  # it has returned, what it made is taken down
        ((PROBE,), HostState.FRAMEWORK, None),
        ((GENERATED, *PREDICT[2:]), HostState.FRAMEWORK, "call"),
        ((*PREDICT, GET, WAIT), HostState.FRAMEWORK, "Model.predict"),
        ((GET, WAIT), HostState.WAITING, "Queue.get"),
        ((NEXT,), HostState.WAITING, "OwnedIterator.__next__"),
    ],
)
def test_the_users_innermost_line_stands_for_what_it_calls(
    inside: tuple[Any, ...], state: HostState, detail: str | None
) -> None:
    assert read(stack(SCRIPT, ACT, *inside)) == ThreadPlace(
        function="Agent.act",
        location=Location("/home/me/agent.py", 2),
        state=state,
        detail=detail,
        calls_predict=detail == "Model.predict",
        calls_model=state is HostState.FRAMEWORK and detail in ("Model.predict", None),
    )


def test_what_is_taken_down_has_the_name_of_the_call_that_made_it() -> None:
    reader = PlaceReader()
    during = reader.read(stack(SCRIPT, ACT, *PREDICT), lambda: False)
    after = reader.read(stack(SCRIPT, ACT, *PREDICT[:1]), lambda: False)
    assert during == after


@pytest.mark.parametrize(
    ("cls", "method", "calls_fit", "calls_model"),
    [
        ("TensorFlowTrainer", "fit", True, True),
        ("TensorFlowTrainer", "predict", False, True),
        ("Layer", "__call__", False, True),
        ("Normalization", "fit", False, False),
    ],
)
def test_calls_of_a_model_are_known(
    cls: str, method: str, calls_fit: bool, calls_model: bool
) -> None:
    file = f"{INSTALLED}keras/src/backend/tensorflow/trainer.py"
    called = (file, "keras.src.backend.tensorflow.trainer", f"{cls}.{method}")
    place = read(stack(SCRIPT, called))
    assert place is not None
    assert (place.calls_fit, place.calls_model) == (calls_fit, calls_model)


def test_an_import_of_a_framework_is_named() -> None:
    found = read(stack(SCRIPT, (f"{INSTALLED}keras/__init__.py", "keras", "<module>")))
    assert found is not None
    assert (found.function, found.detail) == ("<module>", "import keras")


def test_the_line_of_an_import_is_known_however_many_modules_import_each_other() -> None:
    imports = ("<frozen importlib._bootstrap>", "importlib._bootstrap", "_find_and_load")
    within = (f"{INSTALLED}tensorflow/core.py", "tensorflow.core", "<module>")
    found = read(stack(SCRIPT, *[imports, imports, imports, imports, within] * 300))
    assert found is not None
    assert (found.location.line, found.detail) == (1, "import tensorflow")


@pytest.mark.parametrize("frame", [stack(GET, WAIT), stack(("<string>", "x", "y"), NUMPY)])
def test_a_stack_without_the_users_code_has_no_place(frame: FrameType) -> None:
    assert read(frame) is None


def look(wait: Callable[[], object], let_go: Callable[[], object]) -> ThreadPlace:
    """Where a thread is met that waits; it is let go then."""
    thread = threading.Thread(target=wait)
    thread.start()
    reader = PlaceReader()
    place = None
    while place is None or place.state is not HostState.WAITING:
        place = reader.read(frames_by_thread()[thread.ident or 0], lambda: True)
    let_go()
    thread.join()
    return place


def test_each_way_of_waiting_for_somebody_is_waiting() -> None:
    filled: queue.Queue[int] = queue.Queue()
    simple: queue.SimpleQueue[int] = queue.SimpleQueue()
    event, lock = threading.Event(), threading.Lock()
    lock.acquire()
    future: concurrent.futures.Future[int] = concurrent.futures.Future()

    def result() -> int:
        return future.result()

    waits: list[tuple[Callable[[], object], Callable[[], object], str]] = [
        (lambda: filled.get(), lambda: filled.put(1), "Queue.get"),
        (lambda: simple.get(), lambda: simple.put(1), "get"),
        (lambda: event.wait(), event.set, "Event.wait"),
        (lambda: lock.acquire(), lock.release, "acquire"),
        (result, lambda: future.set_result(1), "Future.result"),
    ]
    for wait, let_go, detail in waits:
        place = look(wait, let_go)
        assert place.location.file.endswith("test_thread_places.py")
        with_class = sys.version_info >= (3, 11)
        assert place.detail == (detail if with_class else detail.rpartition(".")[2])


def test_what_is_full_makes_wait_for_room() -> None:
    full = ("/usr/lib/python3.11/queue.py", "queue", "Queue.put")
    assert blocked_for_room(stack(ACT, full, WAIT))
    assert not blocked_for_room(stack(ACT, GET, WAIT))


@dataclass(frozen=True)
class OldCode:
    """What a code object was before Python 3.11: without a qualified name."""

    co_name: str


@dataclass(frozen=True)
class OldMethod:
    __code__: CodeType


class Agent:
    def act(self) -> FrameType:
        return sys._getframe()

    @staticmethod
    def draw() -> FrameType:
        return sys._getframe()


@pytest.mark.parametrize("method", [Agent().act, Agent.draw])
def test_a_method_is_named_with_its_class(method: Callable[[], FrameType]) -> None:
    code = method().f_code
    name = f"Agent.{code.co_name}"
    assert qualified_name(code, globals()) == name
    old = cast(CodeType, OldCode(code.co_name))
    vars_of_old = {"Agent": type("Agent", (), {code.co_name: OldMethod(old)})}
    assert qualified_name(old, vars_of_old) == name
    assert qualified_name(old, {}) == code.co_name


def test_the_call_that_runs_is_read_from_the_line() -> None:
    names: list[str | None] = []

    def note(*_: object) -> None:
        names.append(called_at(sys._getframe(1)))

    str(note(str(1)))
    assert names == ["note" if sys.version_info >= (3, 11) else "str"]
