"""Samples of stacks are folded into the stages on them, and there into lines."""

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.findings import HotLine
from pipeprof.analysis.measures.hot_lines import hot_lines_of
from pipeprof.recording.source_code import CodeLine, Location, StackSamples
from pipeprof.recording.stage import Stage, StageKind
from tests.builders import profile, stage

FILE = "train.py"
BATCHES = stage("batches", location=Location(FILE, 10))
DECODE = stage("decode", StageKind.FUNCTION, location=Location(FILE, 41))
READ = stage("batches", StageKind.BLOCK, location=Location(FILE, 14))


def line(function: str, number: int, *, file: str = FILE, blocks: tuple[int, ...] = ()) -> CodeLine:
    return CodeLine(
        function=function, location=Location(file, number), text=f"line {number}", blocks=blocks
    )


def stack(samples: int, *lines: CodeLine) -> StackSamples:
    return StackSamples(lines=lines, samples=samples)


def shares(stages: tuple[Stage, ...], *stacks: StackSamples) -> list[dict[str, float]]:
    """For each stage, its lines with their shares."""
    found = sorted(analyse(profile(stages=stages, stacks=stacks)).stages, key=lambda s: s.index)
    return [{str(each.location): each.share for each in one.hot_lines} for one in found]


def test_a_sample_counts_for_the_innermost_stage() -> None:
    batches, decode = shares(
        (BATCHES, DECODE),
        stack(60, line("decode", 44), line("batches", 12)),
        stack(20, line("decode", 45), line("batches", 12)),
        stack(20, line("batches", 13)),
    )

    assert decode == {"train.py:44": 0.75, "train.py:45": 0.25}
    assert batches == {"train.py:13": 1.0}


def test_what_a_stage_calls_counts_for_it_at_the_line_that_ran() -> None:
    (found,) = analyse(
        profile(
            stages=(DECODE,),
            stacks=(stack(30, line("resize", 7, file="images.py"), line("decode", 44)),),
        )
    ).stages

    assert found.hot_lines == (
        HotLine(
            location=Location("images.py", 7),
            function="resize",
            text="line 7",
            share=1.0,
            samples=30,
        ),
    )


def test_a_block_is_distinguished_from_the_function_around_it() -> None:
    batches, read = shares(
        (BATCHES, READ),
        stack(30, line("batches", 15, blocks=(14,))),
        stack(10, line("open_file", 3), line("batches", 16, blocks=(15, 14))),
        stack(50, line("batches", 20)),
        stack(50, line("batches", 22, blocks=(21,))),
    )

    assert read == {"train.py:15": 0.75, "train.py:3": 0.25}
    assert batches == {"train.py:20": 0.5, "train.py:22": 0.5}


def test_functions_are_reported_by_class_where_stacks_show_it() -> None:
    load = stage("Photos.__getitem__", StageKind.SEQUENCE, location=Location(FILE, 10))

    assert shares((load,), stack(20, line("Photos.__getitem__", 12))) == [{"train.py:12": 1.0}]
    assert shares((load,), stack(20, line("__getitem__", 12))) == [{"train.py:12": 1.0}]
    assert shares((load,), stack(20, line("Sounds.__getitem__", 12))) == [{}]


def test_the_same_name_elsewhere_is_another_function() -> None:
    assert shares(
        (DECODE,),
        stack(20, line("decode", 44, file="other.py")),
        stack(20, line("decode", 40)),  # above it: an earlier one of that name
    ) == [{}]


def test_a_few_samples_say_nothing() -> None:
    assert shares((DECODE,), stack(9, line("decode", 44))) == [{}]
    assert shares((DECODE,), stack(10, line("decode", 44))) == [{"train.py:44": 1.0}]


def test_lines_without_weight_are_left_out() -> None:
    (found,) = shares((DECODE,), stack(99, line("decode", 44)), stack(1, line("decode", 45)))
    assert found == {"train.py:44": 0.99}


def test_functions_that_tf_data_calls_count_for_the_one_stage_that_has_them() -> None:
    augment, other = (
        stage(name, StageKind.TF_DATA_PYTHON, location=Location(FILE, number))
        for name, number in (("augment", 60), ("other", 80))
    )
    called = StackSamples(lines=(line("rotate", 50),), samples=30, in_function=True)

    assert shares((DECODE, augment), called) == [{}, {"train.py:50": 1.0}]
    assert shares((DECODE, augment), stack(30, line("rotate", 50))) == [{}, {}]
    assert shares((augment, other), called) == [{}, {}]


def test_the_lines_of_a_function_of_the_host_are_its_own_and_those_it_calls() -> None:
    recorded = profile(
        stacks=(
            stack(30, line("draw", 7, file="replay.py"), line("Agent.act", 44)),
            stack(10, line("Agent.act", 45)),
            stack(60, line("Agent.act", 45, file="other.py")),
        )
    )
    found = hot_lines_of(recorded, "Agent.act", Location(FILE, 44))
    assert [(str(each.location), each.share) for each in found] == [
        ("replay.py:7", 0.75),
        ("train.py:45", 0.25),
    ]
    assert hot_lines_of(recorded, "Agent.sample", Location(FILE, 44)) == ()
