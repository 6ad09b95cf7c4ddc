from dataclasses import replace

import numpy as np
import pytest

from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import Stage, StageKind, StageOwner
from pipeprof.report.figures.flow import lay_out
from pipeprof.report.figures.pipeline import MOST_ROWS, pipeline_figure
from pipeprof.report.figures.stage_text import notes_below
from pipeprof.report.figures.theme import WAIT
from tests.builders import bottleneck, diagnosis, findings, loop_finding, stage, stage_finding
from tests.report.figures.drawn import view


def found_of(*stages: Stage, costs: tuple[float, ...] = ()) -> tuple:
    return tuple(
        stage_finding(each, index=index, cost_ms=costs[index] if costs else 10.0)
        for index, each in enumerate(stages)
    )


def tf(name: str, parent: int | None = None, kind: StageKind = StageKind.TF_DATA) -> Stage:
    return stage(name, kind, parent=parent, location=None)


def test_the_bottleneck_is_lit_and_nothing_else() -> None:
    said = diagnosis(slowest=bottleneck(index=1))
    stages = (tf("prefetch"), stage("decode", parent=0), stage("read", parent=1))
    drawn = view(pipeline_figure(findings(main=loop_finding(said=said), stages=found_of(*stages))))
    (nodes,) = [each for each in drawn.traces if each.get("mode") == "markers"]
    # read feeds decode feeds prefetch feeds the training
    assert [color == WAIT for color in nodes["marker"]["color"]] == [False, True, False, False]
    (lit,) = [each["text"] for each in drawn.layout["annotations"] if "bottleneck" in each["text"]]
    assert lit.startswith("<b>decode</b>")
    assert "The bottleneck is decode." in drawn.caption


def test_work_is_drawn_beside_what_is_left_of_it_side_by_side() -> None:
    (found,) = found_of(stage("decode"), costs=(80.0,))
    parallel = stage_finding(found.stage, cost_ms=80.0, parallelism=4)
    drawn = view(pipeline_figure(findings(main=loop_finding(), stages=(parallel,))))
    work, paced = (each for each in drawn.traces if each["type"] == "bar" and "base" not in each)
    assert (work["x"], paced["x"]) == ([80.0], [20.0])


@pytest.mark.parametrize(
    ("parallelism", "autotuned", "note"),
    [
        (None, True, ""),
        (None, None, ""),
        (1, None, ""),
        (1, True, "1 at once (AUTOTUNE)"),
        (3, False, "3 at once"),
    ],
)
def test_parallelism_is_reported_where_it_is_known_and_a_choice(
    parallelism: int | None, autotuned: bool | None, note: str
) -> None:
    found = stage_finding(stage(), parallelism=parallelism, autotuned=autotuned)
    drawn = view(pipeline_figure(findings(main=loop_finding(), stages=(found,))))
    text = drawn.layout["annotations"][0]["text"]
    assert ("at once" in text) == bool(note)
    assert note in text


def test_what_tf_data_made_of_what_was_written_is_reported() -> None:
    fused = replace(tf("decode"), written="map → batch", runs_as="MapAndBatchV2")
    plain = stage("<i>batches", parent=0)
    drawn = view(pipeline_figure(findings(main=loop_finding(), stages=found_of(fused, plain))))
    (nodes,) = [each for each in drawn.traces if each.get("mode") == "markers"]
    of_plain, of_fused, _ = nodes["hovertext"]
    assert "<br>written as map → batch<br>tf.data runs MapAndBatch<br>" in of_fused
    assert "written as" not in of_plain
    assert "tf.data runs" not in of_plain
    assert drawn.table.columns[2:4] == ("written as", "runs as")
    none = "\N{EN DASH}"
    assert [row[2:4] for row in drawn.table.rows] == [("map → batch", "MapAndBatch"), (none, none)]


def test_where_nothing_runs_under_another_name_the_table_has_no_column_for_it() -> None:
    drawn = view(pipeline_figure(findings(main=loop_finding(), stages=found_of(stage()))))
    assert "runs as" not in drawn.table.columns
    assert all(len(row) == len(drawn.table.columns) for row in drawn.table.rows)


def test_stages_that_nobody_wrote_and_that_cost_nothing_share_a_row_of_the_table() -> None:
    added = [replace(tf(f"zip_{number}", 0), owner=StageOwner.KERAS) for number in range(3)]
    chain = found_of(tf("prefetch"), *added, costs=(1.0, 0.001, 0.003, 0.02))
    drawn = view(pipeline_figure(findings(main=loop_finding(), stages=chain)))
    *rows, last = [row[:3] for row in drawn.table.rows]
    assert [row[0] for row in rows] == ["prefetch", "zip_2"]
    assert last == ("2 more stages", "(added by Keras)", "<0.01 ms")


def test_hundreds_of_stages_make_a_picture_of_a_bounded_size() -> None:
    chain = [tf(f"map_{number}", number - 1 if number else None) for number in range(300)]
    costs = tuple(float(number) for number in range(300))
    drawn = view(
        pipeline_figure(findings(main=loop_finding(), stages=found_of(*chain, costs=costs)))
    )
    assert drawn.layout["height"] < 1_500
    assert f"{300 - MOST_ROWS} more stages" in drawn.caption
    assert len(drawn.table.rows) == 300


def test_names_with_markup_stay_text() -> None:
    bad = stage("<b>x</b><a href='javascript:alert(1)'>&amp;")
    drawn = view(pipeline_figure(findings(main=loop_finding(), stages=found_of(bad))))
    for text in (each["text"] for each in drawn.layout["annotations"]):
        assert "<a" not in text
        assert "<b>x" not in text


def test_a_run_without_stages_has_no_picture() -> None:
    assert pipeline_figure(findings(main=loop_finding())) is None
    assert pipeline_figure(findings()) is None


def test_each_stage_stands_below_all_that_feed_it() -> None:
    #   a, b -> zip -> batch;  c -> b
    stages = (tf("batch"), tf("zip", 0), tf("a", 1), tf("b", 1), tf("c", 3))
    flow = lay_out(found_of(*stages, costs=(1, 1, 50, 2, 2)), stages, most=10)
    names = [each.stage.name for each in flow.rows]
    assert names == ["a", "c", "b", "zip", "batch"]
    assert flow.into == (3, 2, 3, 4, None)
    # The dear branch goes straight on, the other beside it.
    assert flow.columns == (0, 1, 1, 0, 0)


def test_a_stage_that_is_left_out_is_bridged() -> None:
    stages = (tf("batch"), tf("cheap", 0), tf("map", 1))
    flow = lay_out(found_of(*stages, costs=(5, 0.1, 9)), stages, most=2)
    assert [each.stage.name for each in flow.rows] == ["map", "batch"]
    assert flow.into == (1, None)
    assert [each.stage.name for each in flow.left_out] == ["cheap"]


def test_a_generator_feeds_the_one_stage_of_tf_data_that_calls_python() -> None:
    stages = (
        tf("prefetch"),
        tf("from_generator", 0, StageKind.TF_DATA_PYTHON),
        stage("batches"),
        stage("decode", StageKind.FUNCTION, parent=2),
    )
    flow = lay_out(found_of(*stages), stages, most=10)
    assert [each.stage.name for each in flow.rows] == [
        "decode",
        "batches",
        "from_generator",
        "prefetch",
    ]
    assert flow.into == (1, 2, 3, None)
    # With two such stages nobody can know which one it feeds.
    two = (*stages, tf("from_generator", 0, StageKind.TF_DATA_PYTHON))
    flow = lay_out(found_of(*two), two, most=10)
    into = dict(zip([each.index for each in flow.rows], flow.into, strict=True))
    assert into[2] is None


def test_the_picture_is_ordered_even_for_a_stage_asked_by_nobody_known() -> None:
    stages = tuple(stage(f"s{number}") for number in range(3))
    flow = lay_out(found_of(*stages), stages, most=10)
    assert np.array_equal(flow.columns, [0, 1, 2])
    assert flow.into == (None, None, None)


@pytest.mark.parametrize("width", [5, 20, 30, 45, 80])
def test_notes_fit_and_show_the_state_before_the_place(width: int) -> None:
    found = stage_finding(
        stage(location=Location("a_file_of_a_long_name.py", 1234)),
        parallelism=4,
        autotuned=True,
        buffer_mean=0.4,
        buffer_size=2,
    )
    notes = notes_below(found, width)
    assert len(notes) <= width
    whole = "4 at once (AUTOTUNE) · buffer 0.4 of 2"
    assert (whole in notes) == (width >= len(whole))
    assert ("a_file" in notes) == (width > 50)


def test_bars_of_a_row_stay_in_it() -> None:
    drawn = view(pipeline_figure(findings(main=loop_finding(), stages=found_of(stage()))))
    assert {each["width"] < 1 for each in drawn.traces if each["type"] == "bar"} == {True}
