"""What stands behind a tf.data transformation's function: whose code it is, and whether it is Python.

Everything here looks into private parts of TensorFlow objects. Nothing is called, nothing is kept:
the answers are strings and numbers.
"""

import functools
import inspect
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf
from tensorflow.python.autograph.impl import api
from tensorflow.python.autograph.pyct.origin_info import LineLocation
from tensorflow.python.ops import script_ops

from pipeprof.capture.probes.python.source_lines import function_begins
from pipeprof.capture.probes.tfdata.written.transformations import Note
from pipeprof.recording.code_owner import CodeOwner, is_pipeprofs_file, owner_of_module
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.source_code import Location

# Set on a generator function that is a stage of its own.
TIMED_BY_PIPEPROF = "_pipeprof_timed"

_TENSORFLOW = f"{Path(tf.__file__).parent}/"
_TF_DATA = f"{_TENSORFLOW}python/data/"
# Folders of what Keras does to feed its loops.
FEEDS_KERAS = (
    "/keras/src/trainers/data_adapters/",
    "/keras/src/backend/tensorflow/",
    "/tf_keras/src/engine/",
)
GENERATED = "__autograph_generated_file"
PYTHON_OPS = frozenset({"PyFunc", "PyFuncStateless", "EagerPyFunc"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """The function of a transformation.

    Attributes:
        name: its qualified name, or None when it is not the user's.
        location: where it stands, or None.
        remark: whose it is, if not the user's.
        in_array_adapter: whether Keras wrote it to feed arrays.
    """

    name: str | None = None
    location: Location | None = None
    remark: Note | None = None
    in_array_adapter: bool = False


def describe_function(function: Any) -> Function:
    """Names a Python function, however wrapped."""
    function = unwrap(function)
    code = getattr(function, "__code__", None)
    if isinstance(function, type) or (code is None and inspect.isroutine(function)):
        return Function()
    if code is None:  # an object that can be called
        name = type(function).__qualname__
        code = getattr(unwrap(type(function).__call__), "__code__", None)
    else:
        name = function.__qualname__
    if code is None:
        return Function(name=name)
    described = _function(name, code.co_filename, code.co_firstlineno)
    if described.remark is Note.BY_TF_DATA:
        for value in closure_of(function).values():
            inside = getattr(unwrap(value), "__code__", None)
            if inside is not None and not inside.co_filename.startswith(_TENSORFLOW):
                return describe_function(value)
    return described


def describe_traced(graph: Any) -> Function:
    """Names the Python function that a graph was traced from, by the calls that made its operations.

    For functions inside a traced function, which leave no Python object behind. An operation knows the
    line that made it: the function begins above.
    """
    operations = (
        operation for called in called_graphs(graph) for operation in called.get_operations()
    )
    for operation in operations:
        frames = list(operation.traceback)
        wrapped = [n for n, frame in enumerate(frames) if _is_wrapper(frame.filename)]
        for frame in frames[wrapped[-1] + 1 :] if wrapped else ():
            if not frame.filename.startswith(_TENSORFLOW) or frame.filename.startswith(_TF_DATA):
                line = function_begins(frame.filename, frame.name, frame.lineno)
                return _function(frame.name, frame.filename, line)
    return Function()


def _is_wrapper(file: str) -> bool:
    return file.startswith(_TF_DATA) and file.endswith("/structured_function.py")


def _function(name: str, file: str, line: int) -> Function:
    name = name.replace("<locals>.", "")
    if any(folder in file for folder in FEEDS_KERAS):
        return Function(remark=Note.BY_KERAS, in_array_adapter="array_data_adapter" in file)
    if file.startswith(_TF_DATA):
        return Function(remark=Note.BY_TF_DATA)
    if file.startswith(_TENSORFLOW):
        return Function(name=name)
    if GENERATED in file:
        return before_autograph(name, file, line)
    return Function(name=name or None, location=Location(_relative(file), line))


def before_autograph(name: str, file: str, line: int) -> Function:
    """A function made while a converted one ran: its code stands in a file of autograph's own."""
    name = name.removeprefix("tf__")
    factories = [
        factory
        for by_options in list(api._TRANSPILER._cache._cache.values())
        for factory in list(by_options.values())
    ]
    for factory in factories:
        lines = factory.source_map or {}
        for at in range(line, 0, -1):
            origin = lines.get(LineLocation(file, at))
            if origin is not None:
                return Function(
                    name=name, location=Location(_relative(origin.loc.filename), origin.loc.lineno)
                )
    return Function(name=name)


def _relative(file: str) -> str:
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def unwrap(function: Any) -> Any:
    """The function below partials, decorators, ``tf.function`` and bound methods."""
    for _ in range(20):  # a decorator may point at itself
        below = (
            function.func
            if isinstance(function, functools.partial)
            else getattr(function, "python_function", None)
            or getattr(function, "__wrapped__", None)
            or getattr(function, "__func__", None)
        )
        if below is None:
            break
        function = below
    return function


def runs_python(graph: Any) -> bool:
    """Whether a graph calls back into Python (``numpy_function``, ``py_function``)."""
    return any(
        operation.type in PYTHON_OPS
        for called in called_graphs(graph)
        for operation in called.get_operations()
    )


def called_graphs(graph: Any, seen: set[str] | None = None) -> Iterator[Any]:
    """A graph and those of the functions that it calls, each once; not those of datasets made in it."""
    seen = set() if seen is None else seen
    yield graph
    for operation in graph.get_operations():
        if "Dataset" in operation.type:
            continue  # a dataset made here runs its functions as stages of their own
        for name in called_functions(operation).values():
            if name not in seen:
                seen.add(name)
                called = function_graph(graph, name)
                if called is not None:
                    yield from called_graphs(called, seen)


def called_functions(operation: Any) -> dict[str, str]:
    """Names of the functions that an operation calls, by attribute."""
    return {
        key: value.func.name
        for key, value in operation.node_def.attr.items()
        if value.WhichOneof("value") == "func"
    }


def function_graph(graph: Any, name: str) -> Any:
    """The graph of a function that another graph calls, or None where TensorFlow keeps none."""
    function = graph._get_function(name)
    return getattr(function, "graph", None)


def describe_generator(graph: Any) -> Function:
    """Names the user's generator function of a ``from_generator``.

    Args:
        graph: that of the function that fetches the next element.
    """
    for operation in graph.get_operations():
        if operation.type in PYTHON_OPS:
            generator = generator_of(python_of(operation))
            if generator is not None:
                return _below_keras(generator)
    return Function()


def python_of(operation: Any) -> Any:
    """The Python function that an operation calls."""
    function = script_ops._py_funcs.get(operation.get_attr("token").decode())
    return getattr(function, "_func", function)


def generator_of(function: Any) -> Any:
    """The generator function behind what ``from_generator`` has called for each element, or None."""
    state = closure_of(unwrap(function)).get("generator_state")
    return None if state is None else state._generator


def _below_keras(generator: Any) -> Function:
    """Names what the user gave Keras, where Keras made the generator function around it."""
    if hasattr(generator, TIMED_BY_PIPEPROF):
        return Function()  # the user's function is a stage of its own
    adapter: Any = getattr(generator, "__self__", None) or closure_of(unwrap(generator)).get("self")
    if owner_of_module(type(adapter).__module__) is not CodeOwner.KERAS:
        return describe_function(generator)
    if hasattr(adapter, "py_dataset"):
        function = describe_function(type(adapter.py_dataset).__getitem__)
        return replace(function, remark=Note.WRAPPED_BY_KERAS)
    given = closure_of(getattr(adapter, "generator", None)).get("generator")
    code = getattr(given, "gi_code", None)
    if given is None or code is None or is_pipeprofs_file(code.co_filename):
        return Function(remark=Note.BY_KERAS)
    function = _function(given.__qualname__, code.co_filename, code.co_firstlineno)
    return replace(function, remark=Note.WRAPPED_BY_KERAS)


def closure_of(function: Any) -> dict[str, Any]:
    """The variables that a function has of the functions around it, by name."""
    code = getattr(function, "__code__", None)
    cells = getattr(function, "__closure__", None)
    if code is None or cells is None:
        return {}
    return {
        name: cell.cell_contents
        for name, cell in zip(code.co_freevars, cells, strict=False)
        if _filled(cell)
    }


def _filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty cell raises
    except ValueError:
        return False
    return True
