"""What tuning found, in words, as a figure, on a terminal and for programs."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeprof.analysis.analyse import analyse
from pipeprof.recording.pipeline_edits import (
    BackgroundThread,
    DropCache,
    Edit,
    MoveBatchFirst,
    MoveFilterFirst,
    MoveShuffleFirst,
    PrivateThreads,
    SetCalls,
    ShardedProcesses,
    TurnAutotuneOn,
    Workers,
)
from pipeprof.report.figures.tuned_steps import tuning_figure
from pipeprof.report.names.edit_names import change_name, transformation
from pipeprof.report.tuning.tuning_code import code_of
from pipeprof.report.tuning.tuning_text import (
    describe_columns,
    describe_outcome,
    describe_refused,
    describe_tried,
    trial_rows,
)
from pipeprof.surfaces.json_report.tuning_as_json import tuning_dict
from pipeprof.surfaces.texts.terminal import render_report
from pipeprof.surfaces.texts.tuning_screen import render_tuning
from tests.builders import MS, profile, tuning_outcome

OUTCOME = tuning_outcome()
ALL = (
    SetCalls(node="map", calls=16),
    DropCache(node="cache"),
    MoveShuffleFirst(shuffle="shuffle", node="map"),
    MoveFilterFirst(filter="filter", node="map"),
    MoveBatchFirst(batch="batch", node="map"),
    TurnAutotuneOn(),
    PrivateThreads(threads=4),
    Workers(workers=4, processes=True),
    BackgroundThread(),
    ShardedProcesses(processes=2),
)


def test_operations_are_named_as_one_writes_them() -> None:
    names = ("MapDataset", "ParallelMapDatasetV2", "FlatMapDataset", "ShuffleDatasetV3")
    assert list(map(transformation, names)) == ["map", "map", "flat_map", "shuffle"]


def test_every_change_has_a_name_and_code() -> None:
    for edit in ALL:
        assert change_name([edit], OUTCOME.described)
        assert code_of(OUTCOME.described, [edit])


def code_for(edit: Edit, name: str) -> str:
    return code_of(replace(OUTCOME.described, name=name), [edit])


def test_the_code_of_a_background_thread_gives_all_and_raises_what_was_raised() -> None:
    def three() -> Iterator[int]:
        yield from range(3)

    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("no more")

    names: dict[str, Any] = {"batches_of": three, "failing": failing}
    exec(code_for(BackgroundThread(), "batches_of"), names)
    assert list(names["batches"]) == [0, 1, 2]
    exec(code_for(BackgroundThread(), "failing"), names)
    assert next(names["batches"]) == 1
    with pytest.raises(KeyError, match="no more"):
        next(names["batches"])


@pytest.mark.parametrize(
    ("ends", "printed"),
    [("pass", "[0, 1, 10, 11, 12]"), ("raise KeyError('no more')", "RuntimeError")],
)
def test_the_code_of_processes_ends_with_them_and_raises_what_was_raised(
    tmp_path: Path, ends: str, printed: str
) -> None:
    code = code_for(ShardedProcesses(processes=2), "batches_of").splitlines()
    made = f"def batches_of(shard):\n    yield from range(10 * shard[0], 11 * shard[0] + 2)\n    {ends}"
    last = f"if __name__ == '__main__':\n    {code[-1]}\n    print(sorted(batches))"
    script = tmp_path / "train.py"
    script.write_text("\n".join([made, *code[:-1], last]))
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=100, check=False
    )
    assert printed in ran.stdout + ran.stderr


def test_the_result_is_said_in_sentences() -> None:
    assert list(describe_outcome(OUTCOME)) == [
        "40.0 ms a step today, 5.0 ms with the changes below: 8.0 times as fast.",
        "With input for free a step would take 4.0 ms.",
    ]
    near = replace(OUTCOME, best_ns=4.1 * MS)
    assert list(describe_outcome(near))[1] == (
        "With input for free a step takes 4.0 ms: the input is no limit any more."
    )
    nothing = replace(OUTCOME, best=(), best_ns=40.0 * MS, ceiling_ns=None, stopped=True)
    first, second, third = describe_outcome(nothing)
    assert first == "No change made this input faster beyond the noise: a step takes 40.0 ms."
    assert second.startswith("Without a model only the input was measured")
    assert "a larger --budget tries more" in third


def test_an_interrupt_is_not_called_a_lack_of_time() -> None:
    *_, last = describe_outcome(replace(OUTCOME, stopped=True, interrupted=True))
    assert last == "It was interrupted: not everything was tried."


def test_what_a_change_is_compared_with_is_said_where_it_is_not_todays_input() -> None:
    first, *_ = OUTCOME.trials
    [line] = describe_columns(replace(OUTCOME, trials=(first, first)))
    assert line.startswith("'times as fast' compares a change with the best one before it.")
    assert not list(describe_columns(replace(OUTCOME, trials=(first,))))


def test_what_was_not_predicted_is_named() -> None:
    first, *_ = OUTCOME.trials
    [line] = describe_columns(replace(OUTCOME, trials=(replace(first, predicted_ns=None),)))
    assert line == (
        "Not predicted: decode with AUTOTUNE parallel calls. Only a trial shows what this gives."
    )


def test_trials_are_rows() -> None:
    kept, _, refused = trial_rows(OUTCOME)
    assert kept == (
        "decode with AUTOTUNE parallel calls",
        "21.0 ms",
        "20.0 ms",
        "2.00 (1.80 to 4.20)",
        "kept",
    )
    assert refused[-1] == "refused"
    assert list(describe_refused(OUTCOME)) == [
        "prefetch at the end: refused, it raised ValueError: no."
    ]


def test_the_report_on_the_training_has_predicted_and_measured() -> None:
    assert list(describe_tried(OUTCOME)) == [
        "decode with AUTOTUNE parallel calls: measured 20.0 ms per step, predicted 21.0 ms.",
        "cache behind decode: measured 5.0 ms per step.",
        "Together: 40.0 ms before, 5.0 ms after, 8.0 times as fast.",
    ]
    tuned = replace(profile(), tuning=OUTCOME)
    assert "Tried  decode with AUTOTUNE parallel calls: measured" in render_report(analyse(tuned))
    assert "Tried" not in render_report(analyse(profile()))


def test_the_screen_fits_and_has_the_code() -> None:
    text = render_tuning(OUTCOME, width=80)
    assert max(map(len, text.splitlines())) <= 80
    assert ".map(decode, num_parallel_calls=tf.data.AUTOTUNE)  # train.py:12" in text
    assert "  Write this:" in text.splitlines()
    assert "  prefetch at the end: refused, it raised ValueError: no." in text.splitlines()


def test_the_screen_has_bars_where_there_is_room() -> None:
    lines = render_tuning(OUTCOME, width=80, ascii_only=True).splitlines()
    [today] = [line for line in lines if line.startswith("  today")]
    [parallel] = [line for line in lines if line.startswith("  decode") and "#" in line]
    assert today.rstrip().endswith("#")
    assert parallel.count("#") < today.count("#")
    assert parallel.partition("ms")[2].count("o") == 1  # predicted
    assert "|" in today  # input for free
    assert "|" in parallel
    assert "  # measured   o predicted   | input for free" in lines
    assert "measured   o" not in render_tuning(OUTCOME, width=48, ascii_only=True)


def test_the_figure_has_bars_for_both_and_the_ceiling() -> None:
    figure = tuning_figure(analyse(replace(profile(), tuning=OUTCOME)))
    assert figure is not None
    [view] = figure.views
    predicted, measured, ceiling = view.traces
    assert predicted["x"] == [None, 21.0, None]
    assert measured["x"] == [40.0, 20.0, 5.0]
    assert ceiling["x"] == [4.0] * 3
    assert len(view.table.rows) == 3
    assert tuning_figure(analyse(profile())) is None


def test_programs_get_all_of_it() -> None:
    document = tuning_dict(OUTCOME)
    assert document["speedup"] == 8.0
    assert document["best"] == [
        {"action": "parallel_calls", "node": "map", "calls": -1},
        {"action": "cache", "node": "map"},
    ]
    assert [trial["kept"] for trial in document["trials"]] == [True, True, False]
