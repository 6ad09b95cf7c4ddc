import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from pipeprof.analysis.analyse import analyse
from pipeprof.analysis.findings.advice_kinds import Verified
from pipeprof.analysis.findings.caveat_kinds import SharedCores
from pipeprof.analysis.findings.findings import (
    Findings,
    HotLine,
    Interval,
    LimitSource,
    LoopOnFreeInput,
    StageFinding,
)
from pipeprof.analysis.findings.input_findings import BudgetBeyondCores
from pipeprof.analysis.findings.input_remedies import (
    FedBy,
    LessWork,
    LongerQueue,
    Prefetch,
    SmallerBatches,
    WorkerThreads,
)
from pipeprof.analysis.findings.machine_findings import CpuFinding, OverheadFinding
from pipeprof.analysis.findings.references import StageReference
from pipeprof.analysis.findings.tfdata_remedies import TensorflowOps
from pipeprof.analysis.findings.verdict_kinds import Bound, Cause
from pipeprof.analysis.findings.wait_evidence_kinds import (
    BottleneckAtWork,
    EpochStartWait,
    RestartCost,
    WhereItRan,
)
from pipeprof.analysis.findings.work_reasons import CallKind, GilWork
from pipeprof.recording.level_names import DeviceLevel
from pipeprof.recording.loop import Input, InputKind, LoopKind
from pipeprof.recording.run_info import RecordedBy
from pipeprof.recording.source_code import Location
from pipeprof.recording.stage import StageKind, StageOwner
from pipeprof.report.one_run.advice_code import remedy_code
from pipeprof.report.one_run.advice_text import describe_advice
from pipeprof.report.one_run.autotune_text import autotune_warning
from pipeprof.report.one_run.evidence_text import evidence_sentence
from pipeprof.report.plain_text import printable
from pipeprof.surfaces.texts.terminal import LEAST_WIDTH, render_report, render_side_by_side
from tests.builders import (
    START_NS,
    advice,
    autotune_finding,
    bottleneck,
    device,
    diagnosis,
    findings,
    gauge,
    input_finding,
    loop,
    loop_finding,
    profile,
    run_info,
    spread,
    stage,
    stage_finding,
    trace_window,
)

AT_WORK = BottleneckAtWork(
    stage=StageReference(name="decode", location=Location("train.py", 41)),
    cost_ms=29.8,
    calls=CallKind.THREAD,
    at_once=1.0,
    sharing=0,
    busy_ratio=1.0,
    ahead=True,
    reason=GilWork(held_ratio=None, cpu_known=True),
)
OVERLAP = WhereItRan(
    lane=None, trains=False, first_calls=0, overlap_ratio=0.26, estimated=False, only_stage=True
)
SHARED = SharedCores(cores=2)
BATCHES = FedBy(kind=InputKind.SEQUENCE, name="B")
BUDGET = BudgetBeyondCores(planned=8, cores=2, by_container=False, advised=2)


def input_bound() -> Findings:
    said = diagnosis(
        wait_ms=23.3,
        compute_ms=8.1,
        samples_per_s=1_019.1,
        slowest=bottleneck(cost_ms=29.8),
        cause=Cause.GIL,
        evidence=(AT_WORK, OVERLAP, SHARED),
        counted_steps=305,
        advice=(
            advice(step_ms=9.6, speedup=3.3),
            advice(SmallerBatches(), step_ms=None, speedup=None),
        ),
    )
    fed = input_finding(queue_size=2, queue_mean=0.1, queue_empty_ratio=0.93, epoch_start_ms=400.0)
    inner = loop_finding(
        loop(LoopKind.EVALUATE, steps=20, parent=0),
        diagnosis(Bound.COMPUTE, wait_ms=0.041, compute_ms=4.1),
    )
    prefetch = stage("Prefetch", StageKind.TF_DATA, location=None, owner=StageOwner.KERAS)
    return findings(
        main=loop_finding(
            loop(epochs=2, steps=312, wait_ns=23_300_000, compute_ns=8_100_000), said, fed
        ),
        others=(inner,),
        stages=(
            stage_finding(stage(), cost_ms=29.8, parallelism=1, cpu_ratio=0.97),
            stage_finding(
                stage("read", location=Location("data/train.py", 33)),
                index=1,
                cost_ms=1.2,
                parallelism=2,
                autotuned=True,
                cpu_ratio=0.12,
                lanes=("tf.data thread", "worker 1"),
            ),
            stage_finding(
                prefetch, index=2, cost_ms=0.003, buffer_size=2, buffer_mean=0.1, lanes=()
            ),
        ),
        run=run_info("2026-11-21_10-02-13", end_ns=START_NS + 9_796_800_000),
    )


def test_what_autotune_did_and_what_it_is_warned_of():
    found = replace(input_bound(), autotune=autotune_finding(BUDGET))
    lines = " ".join(render_report(found).split())
    settled = "Tuned decode: settled within 40 steps at 4 of 16 calls at once "
    assert settled + autotune_warning(BUDGET) in lines
    assert "Tuned" not in render_report(input_bound())


def test_an_input_bound_run():
    assert (
        render_report(input_bound())
        == """\
  run 2026-11-21_10-02-13 · fit, 2 epochs, 312 steps · TensorFlow 2.21, 2 cores

  INPUT-BOUND   74 % of the training's time waits for data
                9.8 s of training = wait 7.3 + compute 2.5
                with input for free: about 810 ms, 3.9 times as fast
                step 31.4 ms = wait 23.3 + compute 8.1 · 1,019 samples/s

  Why    decode (train.py:41) works 29.8 ms per step on one thread, without a
         pause. It is Python code, and the GIL lets one thread of a process run
         at a time.
         26 % of its work overlapped with training.

  Next   1. Run decode in 4 worker processes; the transport between processes
         costs extra (predicted 9.6 ms per step, 3.3 times as fast).
             # data: your Photos
             data.workers, data.use_multiprocessing = 4, True
         2. Send less data between the processes: smaller types, smaller
         pictures, shorter texts.

  Time   9.8 s: wait 7.2 · compute 2.5
  Note   Input and training share 2 cores: 'with input for free' is an estimate.
  Input  generator batches · ran on tf.data thread · 0.1 of 2 batches ready
         queue empty 93 % of the time · first batch of an epoch took 400 ms

  Stage    where            work/step parallel buffer  CPU ran on
> decode   train.py:41        29.8 ms 1        –      97 % tf.data thread
  read     train.py:33         1.2 ms 2 auto   –      12 % tf.data thread +1
  Prefetch (added by Keras)  <0.01 ms –        0.1/2     – –

  Loop             calls  steps    time  waits  host  verdict
  fit                  1    312   9.8 s   74 %   0 %  INPUT-BOUND
  evaluate in fit      1     20  600 ms  1.0 %   0 %  COMPUTE-BOUND

  305 of 312 steps counted (5 warm-up, first of each epoch left out)
  waits read from tf.data's model · confidence 95 % · overhead 0.3 %"""  # noqa: RUF001 - the dash of what is missing
    )


def test_hot_lines_of_the_bottleneck_stand_below_why():
    slow = "images = [Image.open(path).resize((224, 224)) for path in paths if path.exists()]"
    hot = tuple(
        HotLine(
            location=Location("train.py", line),
            function="decode",
            text=text,
            share=share,
            samples=1,
        )
        for line, text, share in (
            (44, slow, 0.61),
            (45, "[red]x[/red]", 0.22),
            (9, "", 0.1),
            (8, "", 0),
        )
    )
    found = input_bound()
    decode, *others = found.stages
    said = render_report(replace(found, stages=(replace(decode, hot_lines=hot), *others)))
    assert (
        """
         26 % of its work overlapped with training.

         hot lines   share
         train.py:44  61 % images = [Image.open(path).resize((224, 224)) for pa…
         train.py:45  22 % [red]x[/red]
         train.py:9   10 % decode

  Next   1."""
        in said
    )
    assert max(map(cell_len, said.splitlines())) <= 80


def test_a_screen_that_shows_only_ascii():
    plain = render_report(input_bound(), ascii_only=True)
    assert plain.isascii()
    assert plain == (
        render_report(input_bound()).replace("·", "|").replace("\N{EN DASH}", "-").replace("…", "~")
    )


def test_a_broken_run_without_a_loop_shows_its_trouble_before_the_verdict():
    run = run_info(
        error="ValueError: [red]no[/red] \x1b[31mfile",
        exit_code=1,
        complete=False,
        warnings=("AUTOTUNE's model was not there.",),
        versions={},
        hosts=("a", "b"),
        backend="jax",
    )
    cpu = CpuFinding(cores=16, limit=1.5, process_ratio=None, saturated=None)
    overhead = OverheadFinding(probe_ns=None, events=2_000, events_dropped=1, ratio=None)
    assert (
        render_report(findings(run=run, cpu=cpu, overhead=overhead))
        == """\
  run run-1 · Keras on jax, 2 hosts, 1.5 of 16 cores

  !  The training ended with an exception: ValueError: [red]no[/red] file
  !  The recording was cut off; this is what could be recovered of it.
  !  AUTOTUNE's model was not there.

  UNKNOWN   no training loop was seen

  Time   4.0 s: start-up 4.0

  1 event of 2,000 lost · overhead not measured"""
    )


def test_how_to_be_seen_is_reported_where_nothing_failed():
    assert "Next   Give the dataset to pipeprof.profile" in render_report(findings(run=run_info()))


def test_what_raised_in_its_first_step_is_to_be_mended_first():
    said = replace(diagnosis(Bound.UNKNOWN, counted_steps=0), step_ms=None)
    failed = run_info(error="ValueError: bad shape", exit_code=1)
    report = render_report(findings(main=loop_finding(said=said), run=failed))
    assert "!  The training ended with an exception: ValueError: bad shape" in report
    assert "Next" not in report


@pytest.mark.parametrize(
    "said",
    [
        replace(diagnosis(Bound.UNKNOWN, counted_steps=0), step_ms=None),
        diagnosis(Bound.UNKNOWN, counted_steps=4),
        diagnosis(Bound.UNKNOWN, wait_ms=None),
        None,
    ],
)
def test_under_the_command_no_argument_of_python_is_advised(said):
    main = None if said is None else loop_finding(said=said)
    run = run_info(recorded_by=RecordedBy.COMMAND)
    report = render_report(findings(main=main, run=run))
    assert "Next   Train " in report
    assert "pipeprof.profile" not in report
    assert "warmup" not in report


def test_an_exit_code_without_an_exception_is_reported():
    report = render_report(findings(run=run_info(exit_code=3)))
    assert "!  The training's process ended with exit code 3." in report


def test_a_signal_that_ended_the_training_is_named():
    report = render_report(findings(run=run_info(exit_code=None, ended_by="SIGTERM")))
    assert "!  The training was ended by SIGTERM." in report


@pytest.mark.parametrize(
    ("said", "reason", "remedy"),
    [
        (
            replace(diagnosis(Bound.UNKNOWN, counted_steps=0), step_ms=None, wall=None),
            "UNKNOWN   no step was finished",
            "Next   Train for more steps",
        ),
        (
            diagnosis(Bound.UNKNOWN, wait_ms=None),
            "UNKNOWN   pipeprof could not measure how long the steps waited for data",
            "Next   Give the dataset to pipeprof.profile(dataset)",
        ),
        (
            diagnosis(
                Bound.UNKNOWN,
                wait_ms=None,
                advice=(advice(LessWork(stage="decode", by_user=False, no_core_free=True)),),
            ),
            "UNKNOWN   pipeprof could not measure how long the steps waited for data",
            "Next   Give the training more CPU",
        ),
    ],
)
def test_an_unknown_verdict_says_why_and_what_to_do(said, reason, remedy):
    report = render_report(findings(main=loop_finding(said=said)))
    assert reason in report
    assert remedy in report
    assert "confidence" not in report


def test_a_compute_bound_run_promises_nothing():
    said = diagnosis(Bound.COMPUTE, wait_ms=0.2, compute_ms=12.0)
    report = render_report(findings(main=loop_finding(said=said)))
    assert (
        "  COMPUTE-BOUND   the input keeps up: 1.6 % of the training's time waits for\n"
        "                  data\n"
        "                  3.0 s of training = wait 2.0 + compute 1.0\n"
        "                  step 12.2 ms = wait 0.2 + compute 12.0 · 1,067 samples/s\n"
    ) in report
    assert "for free" not in report
    assert "Next" not in report


def test_a_balanced_run_names_its_bottleneck_too():
    said = diagnosis(Bound.BALANCED, wait_ms=1.0, compute_ms=9.0, evidence=(AT_WORK,))
    report = render_report(findings(main=loop_finding(said=said)))
    assert "BALANCED   10 % of the training's time waits for data" in report
    assert "with input for free: 900 ms, 1.1 times as fast" in report
    assert "Why    decode (train.py:41) works 29.8 ms per step" in report


def test_no_share_of_waiting_is_rounded_onto_a_border_of_the_verdict():
    main = loop_finding(said=diagnosis(Bound.BALANCED, wait_ms=19.6, compute_ms=80.4))
    other = loop_finding(said=diagnosis(Bound.COMPUTE, wait_ms=4.97, compute_ms=95.03))
    said = findings(main=main, others=(other,))
    report = render_report(said)
    assert "BALANCED   19.6 % of the training's time waits for data" in report
    assert re.search(r"fit +1 +100 +3\.0 s +4\.97 % +0 % +COMPUTE-BOUND", report)
    assert "19.6 ms (19.6 %)" in render_side_by_side([("a", said)])


def test_why_gives_the_reasons_and_note_what_weakens_them():
    said = diagnosis(slowest=bottleneck(), evidence=(SHARED, AT_WORK), advice=(advice(),))
    lines = " ".join(render_report(findings(main=loop_finding(said=said)), width=300).split())
    why, following = lines.index("Why "), lines.index(" Next ")
    assert lines[why:following] == f"Why {evidence_sentence(AT_WORK)}"
    assert f" Note {evidence_sentence(SHARED)}" in lines[following:]
    assert "with input for free: about 1.0 s, 3.0 times as fast" in lines


@pytest.mark.parametrize(
    ("known", "ends", "words"),
    [
        (LimitSource.ESTIMATED, (3.0, 3.0), "about 1.0 s, 3.0 times as fast Why"),
        (LimitSource.ESTIMATED, (1.5, 4.0), "1.0 s, 3.0 times as fast (1.5 to 4.0) Why"),
        (
            LimitSource.MEASURED,
            (3.0, 3.0),
            "1.0 s, 3.0 times as fast (measured: 10.0 ms a step) Why",
        ),
        (LimitSource.UPPER_BOUND, (1.0, 3.0), "at least 1.0 s, at most 3.0 times as fast Why"),
    ],
)
def test_the_step_with_input_for_free_is_as_sure_as_it_is_known(
    known: LimitSource, ends: tuple[float, float], words: str
) -> None:
    said = diagnosis(slowest=bottleneck(), evidence=(SHARED, AT_WORK))
    assert said.free_input is not None
    between = Interval(low=ends[0], high=ends[1])
    free = replace(said.free_input, known=known, speedup_interval=between)
    main = loop_finding(said=replace(said, free_input=free, step_ms=None))
    text = " ".join(render_report(findings(main=main), width=300).split())
    assert f"with input for free: {words} " in text


def test_where_epochs_begin_slowly_the_speed_up_is_that_of_all_steps():
    restart = RestartCost(stage=StageReference(name="epoch start"), cost_ms=1.6, share=0.5)
    begins = EpochStartWait(epochs=4, median_ms=83.0, usual=None, others_ms=4.0)
    said = replace(
        diagnosis(
            wait_ms=0.04,
            compute_ms=1.0,
            slowest=bottleneck("map"),
            cause=Cause.EPOCH_START,
            evidence=(restart, begins),
        ),
        wall=replace(diagnosis().wall, wait_ratio=0.6),
        free_input=LoopOnFreeInput(
            wall_s=0.2,
            wall_interval=Interval(low=0.2, high=0.2),
            speedup=2.6,
            speedup_interval=Interval(low=2.6, high=2.6),
            known=LimitSource.ESTIMATED,
        ),
    )
    text = render_report(findings(main=loop_finding(loop(), said)), width=120)
    assert "with input for free: 200 ms, 2.6 times as fast" in text
    assert "Why    Each epoch starts the input again: 1.6 ms per step" in text
    assert "map" not in text.partition("Input")[0]


def test_what_was_tried_is_reported_with_what_was_predicted():
    tried = advice(verified=Verified(step_ms=12.5, speedup=2.4))
    report = render_report(findings(main=loop_finding(said=diagnosis(advice=(tried,)))), width=200)
    outcome = (
        "(measured 12.5 ms per step, 2.4 times as fast; "
        "predicted 12.0 ms per step, 2.5 times as fast)."
    )
    assert describe_advice(tried).endswith(outcome)
    assert f"Next   {describe_advice(tried)}\n" in report


def test_uneven_steps_are_reported():
    said = diagnosis(step_ms=spread(12.0, mean=30.0, p95=1_200.0))
    report = render_report(findings(main=loop_finding(said=said)))
    lines = " ".join(report.split())
    assert "Note Steps are uneven: half take less than 12.0 ms, 1 in 20 over 1.2 s." in lines


def test_parts_that_do_not_make_up_the_step_are_not_added():
    said = diagnosis(step_ms=spread(50.0))
    report = render_report(findings(main=loop_finding(said=said)))
    assert "step 50.0 ms (where measured, wait 20.0 and compute 10.0)" in report


def test_many_stages_are_summed_up():
    found = findings(
        main=loop_finding(loop(LoopKind.CUSTOM)),
        stages=tuple(
            stage_finding(stage(f"stage{number}"), index=number, cost_ms=10.0 + number)
            for number in range(14)
        ),
    )
    report = render_report(found)
    assert "hand-written loop, 1 epoch, 100 steps" in report
    assert "and 2 more stages, 21.0 ms of work per step in all" in report
    assert "stage1 " not in report
    assert "stage2 " in report


def by_keras(name: str, index: int, cost_ms: float, parent: int | None = 0) -> StageFinding:
    added = stage(name, location=None, owner=StageOwner.KERAS, parent=parent)
    return stage_finding(added, index=index, cost_ms=cost_ms)


def test_stages_that_nobody_wrote_and_that_cost_nothing_are_one_line():
    asked = by_keras("prefetch", 0, 0.001, parent=None)  # the training takes from it
    dear = by_keras("shuffle", 1, 0.01)
    own = stage_finding(stage("tiny"), index=2, cost_ms=0.001)
    cheap = tuple(by_keras(f"repeat{number}", 3 + number, 0.009) for number in range(3))
    reported = findings(main=loop_finding(), stages=(asked, dear, own, *cheap))
    report = render_report(reported)
    assert all(name in report for name in ("prefetch ", "shuffle ", "tiny "))
    assert "repeat" not in report
    assert "and 3 more stages (added by Keras), 0.03 ms of work per step in all" in report
    assert "more" not in render_report(replace(reported, stages=(asked, dear, own, cheap[0])))
    slow = replace(bottleneck("repeat1"), index=4)
    blamed = replace(reported, main=loop_finding(said=diagnosis(slowest=slow)))
    assert "> repeat1 " in render_report(blamed)


def test_nothing_from_the_run_is_markup_or_steers_the_terminal():
    hostile = "[red]x[/red]\x1b]0;title\x07\x1b[2J\u202e\n:smile:\udcff"
    harmless = "[red]x[/red]]0;title :smile:"
    at_work = replace(AT_WORK, stage=replace(AT_WORK.stage, name=hostile))
    said = diagnosis(
        slowest=bottleneck(hostile),
        evidence=(at_work,),
        advice=(advice(TensorflowOps(stage=hostile)),),
    )
    found = findings(
        main=loop_finding(loop(fed_by=Input(kind=InputKind.GENERATOR, name=hostile)), said),
        stages=(stage_finding(stage(hostile)),),
        run=run_info(hostile, warnings=(hostile,)),
    )
    report = render_report(found, width=200)
    assert f"run {harmless}" in report
    assert f"!  {harmless}" in report
    assert f"Why    {harmless} (train.py:41)" in report
    assert f"generator {harmless}" in report
    assert f"> {harmless}" in report
    assert f"Next   Write {harmless} with" in report
    assert report.replace("\n", "").isprintable()
    report.encode()


def test_colour_adds_nothing_but_colour():
    colored = render_report(input_bound(), color=True)
    assert "\x1b[1;31mINPUT-BOUND" in colored
    assert "\x1b" not in render_report(input_bound())


def test_runs_side_by_side():
    sequence = findings(
        main=loop_finding(
            said=diagnosis(Bound.COMPUTE, wait_ms=0.2, compute_ms=9.1),
            fed=input_finding(
                InputKind.SEQUENCE,
                workers=4,
                multiprocessing=True,
                overlap_ratio=0.98,
                overlap_estimated=True,
            ),
        )
    )
    arrays = findings(
        main=loop_finding(
            said=diagnosis(Bound.UNKNOWN, wait_ms=None, samples_per_s=None),
            fed=input_finding(InputKind.ARRAYS, on_main_thread=True, overlap_ratio=None),
        )
    )
    named = [("generator", input_bound()), ("Sequence", sequence), ("arrays", arrays)]
    assert (
        render_side_by_side(named)
        == """\
                  generator       Sequence         arrays
  verdict         INPUT-BOUND     COMPUTE-BOUND    UNKNOWN
  training        9.8 s           3.0 s            3.0 s
  waits for data  74 %            2.2 %            –
  host's time     0 %             0 %              0 %
  step            31.4 ms         9.3 ms           10.0 ms
  wait of a step  23.3 ms (74 %)  0.20 ms (2.2 %)  –
  samples/s       1,019           1,067            –
  input ran on    tf.data thread  4 processes      main thread
  overlap         26 %            about 98 %       –
  bottleneck      decode          –                –
  its line        train.py:41     –                –"""  # noqa: RUF001
    )


def test_runs_that_do_not_fit_beside_go_below_and_trouble_comes_first():
    broken = findings(run=run_info(error="OSError: gone"))
    text = render_side_by_side([("a", input_bound()), ("b", broken), ("c", broken)], width=56)
    first, *rest = text.split("\n\n")
    assert first.startswith("  !  b: The training ended with an exception: OSError:\n     gone\n")
    assert [table.split("\n")[0].split() for table in rest] == [["a", "b"], ["c"]]


def test_code_can_be_pasted_however_narrow_the_screen_is():
    prefetch = Prefetch(fed_by=FedBy(kind=InputKind.GENERATOR, name="batches"))
    said = diagnosis(advice=(advice(prefetch),) * 2)
    for width in (40, 60, 80):
        lines = render_report(findings(main=loop_finding(said=said)), width=width).split("\n")
        first, second, third = (remedy_code(prefetch) or "").split("\n")
        at = lines.index(f"             {first}")
        assert lines[at + 1 : at + 3] == [f"             {second}", f"             {third}"]
        assert lines[at + 3].startswith("         2. Load the")
        assert lines.count(lines[at + 1]) == 2


@given(st.text(max_size=200))
def test_code_from_elsewhere_stays_in_its_line(text: str):
    threads = WorkerThreads(fed_by=FedBy(kind=InputKind.SEQUENCE, name=f"x{text}"), workers=2)
    report = render_report(
        findings(main=loop_finding(said=diagnosis(advice=(advice(threads),)))), width=40
    )
    assert report.replace("\n", "").isprintable()
    first = printable((remedy_code(threads) or "").splitlines()[0].expandtabs(4)).rstrip()
    assert f"             {first}" in report.split("\n")


NAMES = st.text(max_size=80)
WIDTHS = st.integers(min_value=20, max_value=200)


@given(NAMES, NAMES, st.integers(0, 10**9), WIDTHS, st.booleans())
def test_no_line_is_wider_than_the_screen(name: str, file: str, line: int, width: int, plain: bool):
    place = Location(file, line)
    said = diagnosis(
        slowest=bottleneck(name, location=place),
        evidence=(replace(AT_WORK, stage=StageReference(name=file, location=place)),),
        advice=(advice(TensorflowOps(stage=name)), advice(LongerQueue(fed_by=BATCHES, size=16))),
    )
    found = findings(
        main=loop_finding(loop(fed_by=Input(kind=InputKind.ITERATOR, name=name)), said),
        stages=(
            stage_finding(stage(name, location=place, remark=file), lanes=(name, file)),
            stage_finding(stage(file, location=None, remark=name), index=1, parallelism=3),
        ),
        run=run_info(name, warnings=(file,), error=name),
    )
    texts = (
        render_report(found, width=width, ascii_only=plain),
        render_side_by_side([(name, found)] * 3, width=width, ascii_only=plain),
    )
    for text in texts:
        assert max(map(cell_len, text.split("\n"))) <= max(width, LEAST_WIDTH)
        assert text.replace("\n", "").isprintable()
        assert not plain or text.isascii()


def test_devices_and_windows_are_reported_in_lines():
    fit = loop()
    seen = profile(
        loops=(fit,),
        devices=(device(model="NVIDIA H200"), device("GPU 1", steps=0)),
        trace_windows=(
            trace_window(fit, 10, 20_000_000, 20_000_000),
            trace_window(fit, 40, 20_000_000, run="run-1_window2"),
        ),
    )
    lines = " ".join(render_report(analyse(seen), width=300).split())
    assert (
        "GPU GPU 0 (NVIDIA H200) was busy 33 % of each step (device step 10.0 ms, 2.0 ms of it "
        "copies to it); it stood idle 50 % of the time while the training waited for input "
        "(10 traced steps). Trace steps 10 to 11 of fit: run-1_window1 on TensorBoard's"
    ) in lines
    assert "step 40 of fit: run-1_window2" in lines
    assert "GPU 1" not in lines
    assert "Trace" not in render_report(input_bound(), width=300)


def test_what_only_the_driver_says_of_a_device_is_called_so():
    busy = device(steps=0, levels={DeviceLevel.UTILISATION: gauge(250_000)})
    reported = render_report(analyse(profile(devices=(busy,))), width=300)
    assert "GPU 0 was busy 25 % of the time, as its driver reports." in reported
