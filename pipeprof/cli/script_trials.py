"""The process in which ``pipeprof tune --script`` runs its trials: the script, up to its first training."""

import sys
from typing import Any

from pipeprof.cli.program import find_script
from pipeprof.errors import TuningRefused, UsageError, describe_error
from pipeprof.tuning.bench_process import serve
from pipeprof.tuning.first_training import FirstTraining, TrainingTaken
from pipeprof.tuning.subject import Subject
from pipeprof.tuning.workbench import Workbench


def of_script(script: str, arguments: tuple[str, ...]) -> tuple[str, ...]:
    """What begins the process for a script's first training."""
    return ("-m", __name__, script, *arguments)


def main() -> None:
    """Runs a script until it trains, and serves trials with what it trains."""
    script, *arguments, questions, answers = sys.argv[1:]
    served = False

    def begin(taken: Subject | Exception) -> None:
        nonlocal served
        served = True

        def make_bench() -> Any:
            if isinstance(taken, Exception):
                raise taken
            return Workbench(taken)

        serve(make_bench, int(questions), int(answers))

    program = find_script(script, arguments)
    first = FirstTraining(begin)
    first.install()
    try:
        program.run()
    except TrainingTaken:
        return
    except BaseException as error:
        begin(UsageError(f"the script ended before it trained: {describe_error(error)}."))
        return
    finally:
        first.remove()
    if not served:
        begin(
            TuningRefused(
                "expected a script that trains by model.fit, received one that ended without it: "
                "'pipeprof tune MODULE:FUNCTION' tunes a dataset alone."
            )
        )


if __name__ == "__main__":
    main()
