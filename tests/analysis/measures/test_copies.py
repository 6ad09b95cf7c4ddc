"""Copies of one stage in branches of a pipeline, and what a filter behind them throws away."""

from dataclasses import replace

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import Findings, StageFinding
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.wait_evidence_kinds import BottleneckAtWork, ThrownAway
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import OperatorFamily, Stage, StageKind
from tests.builders import DECODE, MS, loop, profile, stage, those

MIXED, FILTERED, DECODED = (Location("train.py", line) for line in (50, 45, 43))
# 100 steps wait 20 ms and compute 10.
FIT = loop()


def of_tf_data(name: str, made_at: Location, **changes: object) -> Stage:
    """A stage of tf.data that the user wrote in a line, alone in its branch."""
    kept = {"kind": StageKind.TF_DATA, "cpu_ratio": None, "lanes": {}, "location": made_at}
    made = stage(name, **{"during": FIT, **kept, **changes})  # type: ignore[arg-type]
    return replace(made, made_at=made_at, function=None if name == "mix" else name, runs_as=name)


def branches(
    count: int, *, lines: tuple[Location, ...] = (DECODED,), serial: bool = False
) -> tuple[Stage, ...]:
    """A mix of branches of a filter over `decode`; the branches take turns in having these lines.

    Each branch's decode works 12 ms a step, for 60 elements of which its filter keeps 10.
    """
    found = [of_tf_data("mix", MIXED, cost_ns=1, calls=100)]
    for number in range(count):
        kept = of_tf_data("filter", FILTERED, cost_ns=MS // 10, calls=10, parent=0)
        kept = replace(kept, family=OperatorFamily.FILTER, takes=None)
        calls = {} if serial else {"parallelism": 2, "parallel": True}
        made = of_tf_data(
            "decode",
            lines[number % len(lines)],
            cost_ns=12 * MS,
            calls=60,
            parent=len(found),
            location=DECODE,
            family=OperatorFamily.MAP,
            **calls,
        )
        found += [kept, made]
    return tuple(found)


def decodes(findings: Findings) -> list[StageFinding]:
    """What was found of `decode`."""
    return [found for found in findings.stages if found.stage.name == "decode"]


def test_copies_in_branches_are_one_stage_with_the_cost_of_all() -> None:
    findings = analyse(profile(loops=(FIT,), stages=branches(6)))
    [found] = decodes(findings)
    assert (found.copies, round(found.cost_ms), found.elements) == (6, 72, 342)
    assert found.parallelism == 12
    assert found.stage.parent == next(f.index for f in findings.stages if f.stage.name == "filter")
    assert findings.main is not None
    [works] = those(BottleneckAtWork, findings.main.diagnosis.evidence)
    assert (works.copies, works.at_once) == (6, 12)


def test_serial_copies_take_turns() -> None:
    stages = branches(2, serial=True)
    [found] = decodes(analyse(profile(loops=(FIT,), stages=stages)))
    assert (found.copies, round(found.cost_ms), found.parallelism) == (2, 24, 1)


def test_one_function_that_two_lines_put_into_the_pipeline_is_two_stages() -> None:
    lines = (DECODED, Location("train.py", 44))
    found = decodes(analyse(profile(loops=(FIT,), stages=branches(4, lines=lines))))
    assert [(each.copies, round(each.cost_ms)) for each in found] == [(2, 24), (2, 24)]


def test_one_function_after_itself_is_two_stages() -> None:
    first = of_tf_data("decode", DECODED, cost_ns=12 * MS)
    again = of_tf_data("decode", DECODED, cost_ns=12 * MS, parent=0)
    found = decodes(analyse(profile(loops=(FIT,), stages=(first, again))))
    assert [each.copies for each in found] == [1, 1]


def test_a_filter_is_reported_with_what_it_throws_away() -> None:
    findings = analyse(profile(loops=(FIT,), stages=branches(6)))
    assert findings.main is not None
    assert those(ThrownAway, findings.main.diagnosis.evidence) == [
        ThrownAway(
            stage=StageReference(name="decode", location=DECODE),
            by=StageReference(name="filter", location=FILTERED),
            taken=342,
            kept=57,
        )
    ]
    [filtered] = [found for found in findings.stages if found.stage.name == "filter"]
    assert (filtered.elements, filtered.elements_taken) == (57, 342)


def test_a_filter_that_keeps_nearly_all_is_not_worth_a_word() -> None:
    mix, kept, made = branches(1)
    nearly_all = of_tf_data("filter", FILTERED, cost_ns=MS // 10, calls=55, parent=0)
    stages = (mix, replace(nearly_all, family=kept.family), made)
    findings = analyse(profile(loops=(FIT,), stages=stages))
    assert findings.main is not None
    assert those(ThrownAway, findings.main.diagnosis.evidence) == []


def without_lines(stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    """These stages as of a dataset that was made before the profile was on."""
    return tuple(
        replace(each, made_at=None, location=each.location if each.function else None)
        for each in stages
    )


def test_copies_are_known_by_their_functions_where_no_lines_are() -> None:
    [found] = decodes(analyse(profile(loops=(FIT,), stages=without_lines(branches(6)))))
    assert found.copies == 6


def test_sources_beside_each_other_that_nothing_shows_apart_are_no_copies() -> None:
    mix = of_tf_data("zip", MIXED, cost_ns=MS)
    sources = [of_tf_data("slices", FILTERED, cost_ns=MS, parent=0) for _ in range(2)]
    pair = tuple(
        replace(each, made_at=None, location=None, function=None) for each in (mix, *sources)
    )
    found = analyse(profile(loops=(FIT,), stages=pair)).stages
    assert [each.copies for each in found] == [1, 1, 1]


def test_the_source_of_each_copy_has_as_many() -> None:
    stages = branches(2)
    sources = [of_tf_data("slices", FILTERED, cost_ns=MS, parent=asker) for asker in (2, 4)]
    plain = [replace(each, function=None) for each in sources]
    found = analyse(profile(loops=(FIT,), stages=without_lines((*stages, *plain)))).stages
    assert {each.stage.name: each.copies for each in found} == {
        "mix": 1,
        "filter": 2,
        "decode": 2,
        "slices": 2,
    }


def test_stages_that_ask_each_other_in_a_circle_are_no_copies() -> None:
    stages = [of_tf_data("decode", DECODED, cost_ns=MS, parent=asker) for asker in (1, 0)]
    found = decodes(analyse(profile(loops=(FIT,), stages=tuple(stages))))
    assert [each.copies for each in found] == [1, 1]
