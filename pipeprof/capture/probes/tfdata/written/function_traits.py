"""What a function given to tf.data does that decides what may be changed around it.

Looks at the operations of its graph and at the names in its Python code. Nothing is run or kept.
"""

import inspect
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType
from typing import Any

from pipeprof.capture.probes.tfdata.written.mapped_functions import (
    PYTHON_OPS,
    called_graphs,
    closure_of,
    generator_of,
    python_of,
    unwrap,
)
from pipeprof.recording.code_owner import is_users_file
from pipeprof.recording.stage import FunctionTrait

# Operations that draw random numbers have one of these in their names.
_DRAWING = (
    *("Random", "Rng", "Multinomial", "TruncatedNormal", "SampleDistorted"),
    *("StatefulUniform", "StatefulStandardNormal"),
)
# Operations that cost a batch of elements hardly more than one element.
_FOR_BATCHES = frozenset(
    {
        "LookupTableFindV2",
        "RegexReplace",
        "StaticRegexReplace",
        "StringLower",
        "StringUpper",
        "StringSplitV2",
        "StringToHashBucketFast",
        "StringToNumber",
        "UnicodeTranscode",
    }
)
_PARSES = "ParseExampleV2"
# What works on one element only, or decides by one element what to do.
_ONE_AT_A_TIME = frozenset(
    {
        *("If", "StatelessIf", "While", "StatelessWhile", "Case", "StatelessCase"),
        *("ReadFile", "ParseTensor", *PYTHON_OPS),
    }
)
_DECODES = "Decode"
_DECODES_BATCHES = frozenset({"DecodeRaw", "DecodePaddedRaw", "DecodeBase64", "DecodeCompressed"})

# Python code that draws has one of these words in one of the names that it uses.
_WORDS = ("random", "rng", "shuffle", "randint", "uniform", "permutation")
_MOST_FUNCTIONS = 50


def traits_of_graphs(graphs: Iterable[Any]) -> tuple[FunctionTrait, ...]:
    """What the functions of one transformation do, by the graphs that they were traced to."""
    operations = [
        operation
        for graph in graphs
        for called in called_graphs(graph)
        for operation in called.get_operations()
    ]
    kinds = {operation.type for operation in operations}
    python = [python_of(operation) for operation in operations if operation.type in PYTHON_OPS]
    traits = set()
    if any(map(_draws, kinds)) or any(map(draws_in_python, python)):
        traits.add(FunctionTrait.RANDOM)
    if not any(map(_takes_one, kinds)):
        if any(op.type == _PARSES and op.inputs[0].shape.rank == 0 for op in operations):
            traits.add(FunctionTrait.PARSES_ONE_RECORD)
        elif kinds & _FOR_BATCHES:
            traits.add(FunctionTrait.CHEAPER_IN_BATCHES)
    return tuple(trait for trait in FunctionTrait if trait in traits)


def _draws(kind: str) -> bool:
    return any(part in kind for part in _DRAWING)


def _takes_one(kind: str) -> bool:
    decodes = kind.startswith(_DECODES) and kind not in _DECODES_BATCHES
    return decodes or kind in _ONE_AT_A_TIME or _draws(kind)


def draws_in_python(function: Any) -> bool:
    """Whether Python code, or the user's functions that it calls by name, uses a name of random numbers."""
    return any(_names_randomness(code) for code in _codes(function))


def _codes(function: Any) -> Iterator[CodeType]:
    """The code of a function and of the user's functions that it refers to, each once."""
    pending, seen = [function], set[CodeType]()
    while pending and len(seen) < _MOST_FUNCTIONS:
        taken = pending.pop()
        taken = unwrap(generator_of(taken) or taken)
        if not isinstance(taken, FunctionType):
            call = inspect.getattr_static(type(taken), "__call__", None)
            taken = call if isinstance(call, FunctionType) else None
        if taken is None or taken.__code__ in seen:
            continue
        seen.add(taken.__code__)
        yield taken.__code__
        inside = (*closure_of(taken).values(), *_globals_of(taken))
        pending += [one for one in inside if _is_the_users(one)]


def _globals_of(function: FunctionType) -> Iterator[Any]:
    for name in _names_in(function.__code__):
        if name in function.__globals__:
            yield function.__globals__[name]


def _is_the_users(found: Any) -> bool:
    code = getattr(unwrap(found), "__code__", None)
    return isinstance(code, CodeType) and is_users_file(code.co_filename)


def _names_randomness(code: CodeType) -> bool:
    return any(word in name.lower() for name in _names_in(code) for word in _WORDS)


def _names_in(code: CodeType) -> Iterator[str]:
    """Names of globals and attributes, in functions inside the function too."""
    yield from code.co_names
    yield from code.co_freevars
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
