import json

import pytest
from rich.cells import cell_len

from pipeprof.attach.attached_report import (
    attached_json,
    attached_ranks_json,
    render_attached,
    render_attached_ranks,
)
from pipeprof.attach.attached_verdict import AttachedFindings
from tests.attach.test_attached_verdict import FEEDER, FIT, GENERATOR, MOMENTS, judged, stack


def test_a_training_seen_from_outside():
    found = judged(
        stack(MOMENTS, *FIT), stack(290, *GENERATOR, tid=FEEDER), cpu={100: 0.03, FEEDER: 0.8}
    )
    assert (
        render_attached(found)
        == """\
  process 100: python train.py · 1 process · 2 threads
  observed for 3.0 s from outside

  INPUT-BOUND   likely (confidence 70 %: observed from outside, not measured)

  Why    The Python code that makes the batches worked 97 % of the time, without
         a pause: no batch was ready.

         batches made at  share
         train.py:8       100 %  time.sleep(1)

  Thread             role        CPU  GIL  doing
  MainThread         training  3.0 %  0 %  inside fit 100 %
  TensorFlow thread  input      80 %  0 %  making batches 97 %

  Next   To measure it stage by stage: pipeprof run SCRIPT"""
    )


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_no_line_is_wider_than_the_screen(width: int):
    found = judged(stack(MOMENTS, *FIT), stack(290, *GENERATOR, tid=FEEDER))
    lines = render_attached(found, width=width, ascii_only=True).splitlines()
    assert max(map(cell_len, lines)) <= max(width, 40)
    assert all(line.isascii() for line in lines)


def test_as_json():
    said = json.loads(
        attached_json(judged(stack(MOMENTS, *FIT), stack(290, *GENERATOR, tid=FEEDER)))
    )
    assert said["diagnosis"]["bound"] == "input"
    assert said["hot_lines"][0]["location"] == "/home/me/train.py:8"
    assert said["threads"][1]["doing"] == {"making batches": pytest.approx(0.9667)}
    assert said["threads"][1]["role"] == "input"


def test_nothing_seen():
    assert "no verdict is possible from outside" in render_attached(judged())
    assert json.loads(attached_json(judged()))["threads"] == []


def _ranks() -> list[tuple[int, AttachedFindings]]:
    waits = judged(
        stack(MOMENTS, *FIT), stack(290, *GENERATOR, tid=FEEDER), cpu={100: 0.03, FEEDER: 0.8}
    )
    return [(0, judged()), (1, waits)]


def test_ranks_are_shown_together_and_the_one_that_waits_for_its_data_in_full():
    text = render_attached_ranks(_ranks())
    rows = text.splitlines()
    assert rows[1].split()[:3] == ["0", "100", "UNKNOWN"]
    assert rows[2].split()[:3] == ["1", "100", "INPUT-BOUND"]
    assert "Rank 1, which the others most likely wait for:" in text
    assert "batches made at" in text
    assert max(map(cell_len, rows)) <= 80


def test_where_no_rank_waits_for_its_data_none_is_blamed():
    text = render_attached_ranks([(0, judged()), (1, judged())])
    assert "Rank 0:" in text
    assert "wait for" not in text


def test_where_several_ranks_wait_none_of_them_is_blamed():
    (_, waits) = _ranks()[1]
    text = " ".join(render_attached_ranks([(0, waits), (1, waits)]).split())
    assert "Rank 0 (2 ranks wait for data; which of them is late is not seen from outside):" in text


def test_ranks_as_json():
    found = json.loads(attached_ranks_json(_ranks()))
    assert [(each["rank"], each["diagnosis"]["bound"]) for each in found["ranks"]] == [
        (0, "unknown"),
        (1, "input"),
    ]
