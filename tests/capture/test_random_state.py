"""A profile draws nothing from the generators of random numbers that a training draws from."""

import ast
import random
import threading
from pathlib import Path

import numpy as np

import pipeprof

CAPTURE = Path(pipeprof.__file__).parent / "capture"
# What draws nothing.
OWN = (
    "getstate",
    "setstate",
    "Random",
    "SystemRandom",
    "default_rng",
    "Generator",
    "SeedSequence",
    "PCG64",
)


def shared_draws(tree: ast.AST) -> list[str]:
    """Uses of the module ``random`` or ``numpy.random`` that are no generator of one's own."""
    return [
        f"line {node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and ast.unparse(node.value) in ("random", "np.random", "numpy.random")
        and node.attr not in OWN
    ]


def test_no_code_that_records_draws_from_a_shared_generator() -> None:
    found = {
        path.name: draws
        for path in CAPTURE.rglob("*.py")
        if (draws := shared_draws(ast.parse(path.read_text())))
    }
    assert found == {}


def test_a_draw_from_a_shared_generator_is_seen() -> None:
    assert shared_draws(ast.parse("pause = random.uniform(1, 2)"))
    assert shared_draws(ast.parse("np.random.shuffle(x)"))
    assert not shared_draws(ast.parse("draw = random.Random().uniform(1, 2)"))


def test_the_states_are_what_they_were(tmp_path: Path) -> None:
    looked = threading.Event()
    looks: list[object] = []

    def look(profile: object) -> None:
        looks.append(profile)
        looked.set()

    session = pipeprof.profile([1, 2, 3], logdir=tmp_path, warmup=0, fingerprint=True)
    session.show_while_on(0.05, look)
    before = random.getstate(), np.random.get_state()[1].tolist()
    with session as prof:
        for _ in prof.dataset:
            with prof.step():
                looked.wait(timeout=20)  # the threads of the profile have been at work
    assert looks
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before
