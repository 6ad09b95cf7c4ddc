"""Costs in a service's workers are those of an element in a trace, times the elements that were taken."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from pipeprof.capture.probes.tfdata.service.service_inspection import (
    Look,
    SeenPipeline,
    SeenPlace,
    SeenWorker,
)
from pipeprof.capture.probes.tfdata.service.service_pipelines import (
    UNNAMED,
    ServicePipeline,
    pipeline_seen,
)
from pipeprof.capture.probes.tfdata.service.service_sources import NO_PIPELINE, ServiceSource
from pipeprof.capture.probes.tfdata.written.transformations import Pipeline, Transformation
from pipeprof.capture.recorder.facts import DataWorkerFacts, StageFacts, WarningFacts
from pipeprof.capture.recorder.recorder import Recorder
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.stage import StageKind
from tests.capture.probes.recorded import events


def place(path: str, elements: int, work_ns: int = 0, **known: Any) -> SeenPlace:
    fields = {"parallelism": None, "autotuned": False, "label": ""} | known
    return SeenPlace(
        path=("Root", *path.split())[: len(path.split()) + 1],
        elements=elements,
        work_ns=work_ns,
        **fields,
    )


def task(*places: SeenPlace, asked_ratio: float = 0.9) -> SeenPipeline:
    return SeenPipeline(asked_ratio=asked_ratio, places=places)


# For each of 2 batches 4 rows, with 10 ns of work in the map, twice at once.
OWN = task(
    place("", 2),
    place("Batch", 2, 4),
    place("Batch ParallelMapV2", 8, 80, parallelism=2, autotuned=True, label="lookup"),
    place("Batch ParallelMapV2 Range", 8),
)
OTHERS = task(place("", 900), place("Shuffle", 900), place("Shuffle TFRecord", 900))


def written() -> Pipeline:
    source = Transformation(name="range", family="range", path="0.0.0")
    rows = Transformation(name="map", family="map", path="0.0", label="lookup", inputs=(source,))
    return Pipeline(output=Transformation(name="batch", family="batch", path="0", inputs=(rows,)))


def worker(address: str, *tasks: SeenPipeline, **known: Any) -> SeenWorker:
    return SeenWorker(address=address, start_ns=5, lasted_ns=100, cores=2, pipelines=tasks, **known)


class Served:
    """A pipeline of a service, with what is recorded of it."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.recorder = Recorder(None)
        source = ServiceSource(dispatcher="here:1", protocol="grpc", pipeline=pipeline)
        context: Any = SimpleNamespace(recorder=self.recorder, warmup=0)
        self.pipeline = ServicePipeline(context, source, "fit", None)

    def work(self) -> dict[str, tuple[int, int]]:
        """Elements and work that were recorded, by stage."""
        sums: dict[str, tuple[int, int]] = {}
        for event in events(self.recorder, Kind.WORK):
            elements, work = sums.get(event.name, (0, 0))
            sums[event.name] = elements + event.inner, work + event.value
        return sums

    def facts(self, kind: type[Any]) -> list[Any]:
        return [facts for _, facts in self.recorder.names.lines if isinstance(facts, kind)]


def test_what_was_taken_before_and_after_a_look_costs_what_that_saw() -> None:
    served = Served(written())
    served.pipeline.took(10, 0, 100)
    served.pipeline.record()
    assert served.work() == {}
    assert served.pipeline.saw(Look(problem=None, found=1, workers=(worker("one:1", OWN),)))
    assert served.work() == {"batch": (10, 20), "lookup": (40, 400), "range": (40, 0)}
    served.pipeline.took(2, 100, 120)
    served.pipeline.record()
    assert served.work() == {"batch": (12, 24), "lookup": (48, 480), "range": (48, 0)}


def test_stages_know_that_they_run_in_workers_and_in_how_many() -> None:
    served = Served(written())
    served.pipeline.saw(Look(problem=None, found=3, workers=(worker("one:1", OWN),)))
    lookup = next(facts for facts in served.facts(StageFacts) if facts.name == "lookup")
    assert (lookup.kind, lookup.workers) == (StageKind.TF_DATA_WORKER, 3)
    (seen,) = served.facts(DataWorkerFacts)
    by_stage = {each.stage: each for each in seen.window.stages}
    number = served.recorder.names.number(lookup)
    assert (by_stage[number].work_ns, by_stage[number].parallelism) == (80, 2)
    assert (seen.window.elements, seen.window.asked_ratio) == (2, 0.9)


def test_tasks_of_other_trainings_are_left_out() -> None:
    served = Served(written())
    served.pipeline.took(2, 0, 100)
    both = worker("one:1", OTHERS, OWN)
    assert served.pipeline.saw(Look(problem=None, found=1, workers=(both,)))
    assert set(served.work()) == {"batch", "lookup", "range"}
    served = Served(written())
    assert not served.pipeline.saw(Look(problem=None, found=1, workers=(worker("one:1", OTHERS),)))
    (seen,) = served.facts(DataWorkerFacts)
    assert (seen.window, bool(seen.problem)) == (None, True)


def test_a_worker_without_a_trace_has_its_reason_beside_one_with() -> None:
    served = Served(written())
    gone = SeenWorker(address="two:1", problem="it does not answer")
    served.pipeline.saw(Look(problem=None, found=2, workers=(worker("one:1", OWN), gone)))
    one, two = served.facts(DataWorkerFacts)
    assert (one.problem, two.problem) == (None, "it does not answer")
    assert two.window is None


def test_of_an_unknown_dataset_the_names_in_the_trace_are_used() -> None:
    served = Served(NO_PIPELINE)
    served.pipeline.took(2, 0, 100)
    served.pipeline.saw(Look(problem=None, found=1, workers=(worker("one:1", OWN),)))
    assert set(served.work()) == {"batch", "lookup", "range"}
    assert [warning.text for warning in served.facts(WarningFacts)] == [UNNAMED]


def test_names_of_tf_datas_own_are_no_names_of_the_users() -> None:
    labels = {
        "fused(lookup,BatchDatasetV2:3)": "lookup",
        "fused(MapDataset:2,BatchDatasetV2:3)": None,
        "MapDataset:2": None,
        "": None,
        "parse": "parse",
    }
    for label, name in labels.items():
        seen = task(place("", 1), replace(place("Map", 1), label=label))
        output = pipeline_seen(seen).output
        assert output is not None
        assert output.label == name


def test_many_readings_before_the_first_look_take_bounded_memory() -> None:
    served = Served(written())
    for number in range(5_000):
        served.pipeline.took(1, number, number + 1)
    served.pipeline.saw(Look(problem=None, found=1, workers=(worker("one:1", OWN),)))
    assert len(events(served.recorder, Kind.WORK)) <= 3 * 1_000
    assert served.work()["batch"][0] == 5_000
