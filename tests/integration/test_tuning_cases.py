"""Inputs that are set up badly are offered what their author would do, and it delivers the same."""

from typing import Any

import pytest

from pipeprof.recording.pipeline_edits import (
    AddCache,
    MoveBatchFirst,
    MoveFilterFirst,
    MoveShuffleFirst,
    SetCalls,
)
from pipeprof.scenarios.tuning_cases import MISCONFIGURED, TuningCase
from pipeprof.tuning.candidates import candidates
from pipeprof.tuning.subject import make_subject
from pipeprof.tuning.workbench import Workbench

# Other tests of a process set TensorFlow's seed, of which a function inside an interleave then warns.
pytestmark = pytest.mark.filterwarnings("ignore:Seed .* from outer graph")

# Worker processes are tuned in processes of their own (test_tune.py), which end with their pools.
HELPS: dict[str, type[Any]] = {
    "serial map that waits": SetCalls,
    "serial interleave": SetCalls,
    "cache missing": AddCache,
    "cache before the work": AddCache,
    "shuffle of pictures": MoveShuffleFirst,
    "batch after map": MoveBatchFirst,
    "filter last": MoveFilterFirst,
    "pinned parallelism": SetCalls,
}


def case_of(name: str) -> TuningCase:
    return next(case for case in MISCONFIGURED if case.name == name)


@pytest.mark.parametrize("name", HELPS)
def test_what_helps_is_offered_and_delivers_the_same(name: str) -> None:
    bench = Workbench(make_subject(case_of(name).make))
    offered = [
        change
        for change in candidates(bench.describe())
        if any(isinstance(edit, HELPS[name]) for edit in change)
    ]
    assert offered
    assert None in [bench.compare(change) for change in offered]
