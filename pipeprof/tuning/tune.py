"""`tune`: the interface in Python; trials run in this process, or in one of their own where that can be."""

import contextlib
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from pipeprof.errors import UsageError
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.tuning_outcome import Trial, TuningOutcome
from pipeprof.tuning.bench_process import ProcessBench, of_function
from pipeprof.tuning.budget import require_budget
from pipeprof.tuning.subject import find_function, make_subject
from pipeprof.tuning.tuner import Bench, Tuner
from pipeprof.tuning.workbench import Workbench

BUDGET_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """What `tune` found.

    Attributes:
        outcome: all that was measured.
        best: the dataset to train with; for a generator, a function that makes it.
        code: what to write, as lines of Python with comments.
    """

    outcome: TuningOutcome
    best: Any
    code: str

    @property
    def trials(self) -> tuple[Trial, ...]:
        """All that was tried, in order."""
        return self.outcome.trials


def tune(make: Callable[..., Any], budget: float = BUDGET_S) -> Tuned:
    """Looks for the changes that make an input faster, and measures them in short trials.

    A change is kept only where it delivers the same batches and is faster beyond the noise.

    Args:
        make: returns a dataset (tf.data, Sequence or PyDataset, generator) or (model, dataset). It is
            called more than once, and must make the same each time. Where it stands in a module that
            can be imported, trials run in a process of their own, and one that hangs is ended.
        budget: seconds that all trials together may take.

    Raises:
        UsageError: the function makes nothing that can be tuned, or the budget is too small.
        TuningRefused: what it makes cannot be changed.
    """
    require_budget(budget)
    name = _name_of(make)
    with _bench(make, name, budget) as bench:
        outcome = Tuner(bench, int(budget * 1e9), time.monotonic_ns).run()
    from pipeprof.report.tuning.tuning_code import code_of

    here = Workbench(make_subject(make), name)
    return Tuned(
        outcome=outcome, best=here.best(outcome.best), code=code_of(outcome.described, outcome.best)
    )


@contextlib.contextmanager
def _bench(make: Callable[..., Any], name: str | None, budget: float) -> Iterator[Bench]:
    if name is None:
        yield Workbench(make_subject(make))
        return
    with ProcessBench(of_function(name), budget) as bench:
        yield bench


def _name_of(make: Callable[..., Any]) -> str | None:
    """``MODULE:FUNCTION`` where another process can import it."""
    module, function = getattr(make, "__module__", None), getattr(make, "__qualname__", "")
    if not inspect.isfunction(make) or module is None or module == "__main__" or "<" in function:
        return None
    if getattr(sys.modules.get(module), "__spec__", None) is None:
        return None
    with contextlib.suppress(UsageError):
        name = f"{module}:{function}"
        return name if find_function(name) is make else None
    return None
