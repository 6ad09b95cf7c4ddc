"""At which place of the user's code a thread is, and what it does there, read from its Python frames.

Only the code and the line of a frame are read: its local variables would keep the user's arrays alive.
"""

import linecache
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from types import CodeType, FrameType

from pipeprof.capture.recorder.recorder import relative_file
from pipeprof.recording.account import HostState
from pipeprof.recording.code_owner import (
    CodeOwner,
    is_pipeprofs_file,
    is_users_file,
    owner_of_module,
)
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import MODULE, Location

_FRAMEWORKS = (CodeOwner.KERAS, CodeOwner.TENSORFLOW, CodeOwner.JAX, CodeOwner.TORCH)

# Where Python's own modules block until somebody hands something over: end of the file, functions.
_HANDED_OVER = {
    "queue.py": ("get",),
    "threading.py": ("acquire", "join", "wait", "wait_for", "_wait_for_tstate_lock"),
    "multiprocessing/connection.py": ("accept", "poll", "recv", "recv_bytes", "wait"),
    "multiprocessing/managers.py": ("_callmethod",),
    "multiprocessing/pool.py": ("get", "next", "wait"),
    "multiprocessing/popen_fork.py": ("poll", "wait"),
    "multiprocessing/process.py": ("join",),
    "multiprocessing/queues.py": ("get",),
    "multiprocessing/synchronize.py": ("acquire", "wait", "wait_for"),
    "concurrent/futures/_base.py": ("as_completed", "result", "result_iterator", "wait"),
    "concurrent/futures/process.py": ("_chain_from_iterable_of_lists",),
    "selectors.py": ("select",),
    "socket.py": ("accept", "readinto"),
    "ssl.py": ("read", "recv", "recv_into"),
    "subprocess.py": ("communicate", "wait"),
}
# Where they block until there is room for something.
_ROOM = {"queue.py": ("put",), "multiprocessing/queues.py": ("put",)}
# What is written in C blocks at the user's own line: only its name is there to be read.
_BLOCKING_NAMES = frozenset(
    (
        "accept",
        "acquire",
        "get",
        "join",
        "recv",
        "recv_bytes",
        "recv_into",
        "result",
        "select",
        "wait",
    )
)
# Functions in which a framework hands a batch over: to be blocked in there is to wait for it.
_FETCHING_NAMES = frozenset(("__next__", "get_next", "next"))
# What a framework wraps its public functions in.
_WRAPPERS = frozenset(
    (
        "error_handler",
        "wrapper",
        "decorated",
        "op_dispatch_handler",
        "_call_impl",
        "_wrapped_call_impl",
    )
)
_CALLED = re.compile(r"(\w+)\s*\(")
# Imports stand a few hundred deep: five frames for each module that imports the next.
_DEEPEST = 5000
_MODEL, _LAYER = "Model", "Layer"
_GENERATED = "__autograph_generated_file"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThreadPlace:
    """Where a thread is.

    Attributes:
        function: the user's innermost function, with its class where that is known.
        location: the line in it.
        state: what the thread does there.
        detail: what the line waits in or which function of a framework it calls, or None.
        calls_fit: whether that is the ``fit`` of a model.
        calls_predict: whether that is the ``predict`` of a model.
        calls_model: whether it is a method of a model, or the call of a layer, which a model is too. Of a
            call of a framework that is over and is being taken down it is not known: it may be.
    """

    function: str
    location: Location
    state: HostState
    detail: str | None = None
    calls_fit: bool = False
    calls_predict: bool = False
    calls_model: bool = False


class PlaceReader:
    """Reads places from stacks, and remembers what it found out about each function."""

    def __init__(self) -> None:
        self._users: dict[str, bool] = {}
        self._files: dict[str, str] = {}
        self._names: dict[CodeType, str] = {}
        self._calls: dict[tuple[CodeType, int], bool] = {}
        self._framework_calls: dict[tuple[CodeType, int], tuple[str, str]] = {}

    def read(self, innermost: FrameType, sleeps: Callable[[], bool]) -> ThreadPlace | None:
        """Where a thread is.

        Args:
            innermost: its innermost frame.
            sleeps: returns whether the system shows the thread as one that does not run.

        Returns:
            None where none of its frames is the user's.
        """
        inside: list[FrameType] = []
        for frame in _outwards(innermost):
            if self.is_users(frame):
                break
            inside.append(frame)
        else:
            return None
        state, detail, called = self._what_it_does(frame, inside[::-1], sleeps)
        return ThreadPlace(
            function=self._name_of(frame),
            location=Location(self._shown(frame.f_code.co_filename), frame.f_lineno or 0),
            state=state,
            detail=detail,
            calls_fit=called == (_MODEL, "fit"),
            calls_predict=called == (_MODEL, "predict"),
            calls_model=called[0] in (_MODEL, _LAYER) if called else state is HostState.FRAMEWORK,
        )

    def is_users(self, frame: FrameType) -> bool:
        """Whether a frame runs the user's code as it is written, and none made from it."""
        file = frame.f_code.co_filename
        known = self._users.get(file)
        if known is None:
            made = _GENERATED in file or (
                file.startswith("<") and not file.startswith(("<ipython-input", "<stdin>"))
            )
            known = self._users[file] = not made and is_users_file(file)
        return known

    def _what_it_does(
        self, frame: FrameType, inside: list[FrameType], sleeps: Callable[[], bool]
    ) -> tuple[HostState, str | None, tuple[str, str] | None]:
        """State, detail, and class and name of the framework's function that it calls, if it calls one.

        Args:
            frame: the user's.
            inside: the frames inside it, the outermost first.
            sleeps: as `read` has it.
        """
        public = next((each for each in inside if _is_public_of_framework(each)), None)
        if public is not None:
            called = public.f_code.co_name
            state = HostState.WAITING if called in _FETCHING_NAMES else HostState.FRAMEWORK
            call = self._framework_calls[frame.f_code, frame.f_lasti] = self._framework_call(public)
            return state, ".".join(filter(None, call)), call
        for each in inside:
            if _is_handed_over(each):
                return HostState.WAITING, self._name_of(each), None
        if not inside and self._calls_what_blocks(frame) and sleeps():
            return HostState.WAITING, called_at(frame), None
        if any(_returns_from_framework(each) for each in inside):
            known = self._framework_calls.get((frame.f_code, frame.f_lasti))
            if known is not None:
                return HostState.FRAMEWORK, ".".join(filter(None, known)), known
            return HostState.FRAMEWORK, called_at(frame), None
        return HostState.OWN_CODE, None, None

    def _shown(self, file: str) -> str:
        known = self._files.get(file)
        if known is None:
            known = self._files[file] = relative_file(file)
        return known

    def _framework_call(self, frame: FrameType) -> tuple[str, str]:
        """Class, or nothing, and name of a framework's function; of an import, that it is one."""
        if frame.f_code.co_name == MODULE:
            return "", f"import {str(frame.f_globals.get('__name__')).partition('.')[0]}"
        owner, _, name = self._name_of(frame).rpartition(".")
        # Keras defines the methods of its models in classes of other names.
        return _MODEL if owner.endswith(("Trainer", _MODEL)) else owner, name

    def _calls_what_blocks(self, frame: FrameType) -> bool:
        at = frame.f_code, frame.f_lasti
        known = self._calls.get(at)
        if known is None:
            known = self._calls[at] = called_at(frame) in _BLOCKING_NAMES
        return known

    def _name_of(self, frame: FrameType) -> str:
        known = self._names.get(frame.f_code)
        if known is None:
            known = self._names[frame.f_code] = qualified_name(frame.f_code, frame.f_globals)
        return known


def blocked_for_room(innermost: FrameType) -> bool:
    """Whether a thread is blocked until somebody takes what it has to hand over."""
    return any(map(_waits_for_room, islice(_outwards(innermost), 8)))


def rests(innermost: FrameType) -> bool:
    """Whether a thread has no Python to run: it is blocked, or is one of pipeprof's own."""
    if is_pipeprofs_file(innermost.f_code.co_filename):
        return True
    return any(
        _is_handed_over(frame) or _waits_for_room(frame)
        for frame in islice(_outwards(innermost), 4)
    )


def qualified_name(code: CodeType, names: Mapping[str, object]) -> str:
    """A function's name with its class, without the functions that it was written in.

    Args:
        code: the function's.
        names: the global names of its module, where the class is looked for before Python 3.11.
    """
    whole = getattr(code, "co_qualname", None)
    if whole is not None:
        return str(whole).rpartition("<locals>.")[2]
    for thing in list(names.values()):
        method = vars(thing).get(code.co_name) if isinstance(thing, type) else None
        if getattr(getattr(method, "__func__", method), "__code__", None) is code:
            return f"{thing.__name__}.{code.co_name}"  # type: ignore[attr-defined]  # it is a class
    return code.co_name


def called_at(frame: FrameType) -> str | None:
    """Name of the function that a frame calls at the moment, as far as its source shows it."""
    code, line = frame.f_code, frame.f_lineno or 0
    text = linecache.getline(code.co_filename, line, frame.f_globals)
    positions = getattr(code, "co_positions", None)
    if positions is not None:
        first, last, begin, end = next(islice(positions(), frame.f_lasti // 2, None), (None,) * 4)
        if first == last == line and begin is not None and end is not None:
            text = text.encode()[begin:end].decode(errors="replace")
            text = text[: _end_of_callee(text)]
    found = _CALLED.findall(text)
    return found[-1] if found else None


def _end_of_callee(call: str) -> int:
    """Where the outermost, last call of an expression opens its parenthesis, one character on."""
    depth = 0
    for at in range(len(call) - 1, -1, -1):
        depth += (call[at] == ")") - (call[at] == "(")
        if call[at] == "(" and depth == 0:
            return at + 1
    return len(call)


def _is_public_of_framework(frame: FrameType) -> bool:
    """Whether it is a function that a user calls, and none that a framework wraps it in."""
    if owner_of_module(frame.f_globals.get("__name__")) not in _FRAMEWORKS:
        return False
    return frame.f_code.co_name not in _WRAPPERS


def _returns_from_framework(frame: FrameType) -> bool:
    """Whether it is what a framework's function is wrapped in.

    Where no frame of the function itself is left, what it has made is being taken down.
    """
    owner = owner_of_module(frame.f_globals.get("__name__"))
    return owner in _FRAMEWORKS or owner is CodeOwner.PIPEPROF


def _is_handed_over(frame: FrameType) -> bool:
    return _blocks_to_take(frame.f_code.co_filename, frame.f_code.co_name)


def _waits_for_room(frame: FrameType) -> bool:
    return _blocks_to_give(frame.f_code.co_filename, frame.f_code.co_name)


# A look asks for each frame of each thread: many threads stand in few functions.
@lru_cache(maxsize=1024)
def _blocks_to_take(file: str, name: str) -> bool:
    return _is_one_of(_HANDED_OVER, file, name)


@lru_cache(maxsize=1024)
def _blocks_to_give(file: str, name: str) -> bool:
    return _is_one_of(_ROOM, file, name)


def _is_one_of(functions: Mapping[str, tuple[str, ...]], file: str, name: str) -> bool:
    return any(name in names and file.endswith(f"/{end}") for end, names in functions.items())


def _outwards(innermost: FrameType) -> Iterator[FrameType]:
    frame: FrameType | None = innermost
    for _ in range(_DEEPEST):
        if frame is None:
            return
        yield frame
        frame = frame.f_back
