"""Reads the models of tf.data's iterators, and records what their stages did since the last reading."""

import os
import weakref
from typing import Any

from pipeprof.capture.guard import Guard
from pipeprof.capture.launchers import has_tensorflow_peers
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.profiler.tensorflow_trace_windows import windows_on
from pipeprof.capture.probes.tfdata.in_graphs.distributed_stages import (
    DistributedPipeline,
    DistributedStages,
)
from pipeprof.capture.probes.tfdata.in_graphs.stage_traces import StageTraces
from pipeprof.capture.probes.tfdata.iterators import TrackedIterator
from pipeprof.capture.probes.tfdata.running.autotune_model import read_model
from pipeprof.capture.probes.tfdata.running.model_snapshots import (
    LONGEST_GAP_NS,
    ModelSnapshot,
    differences,
    first_batch_lies_ready,
    new_gaps,
)
from pipeprof.capture.probes.tfdata.running.running_stages import IteratorStages, PipelineStages
from pipeprof.capture.probes.tfdata.service.followed_services import FollowedServices
from pipeprof.capture.probes.tfdata.written.from_generator import GeneratorTime
from pipeprof.capture.probes.tfdata.written.transformations import Pipeline
from pipeprof.capture.probes.tfdata.written.written_pipeline import describe_pipeline
from pipeprof.recording.loop import InputKind

# Looks at a first batch that is long in coming lie closer together than this.
_LONGEST_UNSEEN_NS = 100_000_000


class ModelReader:
    """Reads iterators of one profile.

    Args:
        context: the profile's.
        generators: knows the time spent in generators, which have stages of their own.
        services: follows what is taken from tf.data services.
    """

    def __init__(
        self, context: ProbeContext, generators: GeneratorTime, services: FollowedServices
    ) -> None:
        self._context = context
        self._services = services
        self._generators = generators
        self._guard = Guard(
            context.recorder.warn,
            "A reading of tf.data's model failed",
            "waits and stages of that time may be missing",
            retries=True,
        )
        self._stages: weakref.WeakKeyDictionary[Any, dict[str, PipelineStages]] = (
            weakref.WeakKeyDictionary()
        )
        self._behind: weakref.WeakKeyDictionary[Any, dict[str, DistributedPipeline]] = (
            weakref.WeakKeyDictionary()
        )
        self._distributed: list[DistributedPipeline] = []

    def close(self) -> None:
        """Records what still waited for a trace, at the end of the profile."""
        for pipeline in self._distributed:
            pipeline.give_up()
        self._distributed.clear()

    def read(self, tracked: TrackedIterator, now: int) -> tuple[int, ...]:
        """Reads one model and records its stages' work; returns the gaps that are new.

        A reading that fails gives none; the next one reads what it left.
        """
        tracked.new_elements = tracked.new_work_ns = 0
        return self._guard.run(self._read, tracked, now) or ()

    def _read(self, tracked: TrackedIterator, now: int) -> tuple[int, ...]:
        iterator = tracked.iterator()
        if iterator is None or tracked.has_model is False:
            return ()
        snapshot = read_model(iterator, tracked.snapshot)
        if snapshot is None:
            tracked.has_model = False
            return ()
        tracked.has_model = True
        before = tracked.snapshot
        if before is None:
            self._note_late_first(tracked, now)
        root = snapshot.nodes.get(snapshot.output)
        elements = root.num_elements if root else 0
        tracked.new_elements = elements - tracked.elements
        tracked.elements = elements
        gaps = new_gaps(
            before.gap_times_us if before else (), snapshot.gap_times_us, tracked.new_elements
        )
        if now - tracked.read_ns > LONGEST_GAP_NS:
            work = differences(before, snapshot).values()
            tracked.new_work_ns = sum(done.processing_time_ns for done in work)
        if tracked.new_elements:
            self._record_work(tracked, snapshot, now)
        tracked.snapshot = snapshot
        tracked.read_ns = now
        return gaps

    def _record_work(self, tracked: TrackedIterator, snapshot: ModelSnapshot, now: int) -> None:
        began_ns = tracked.made_ns if tracked.stages is None else None
        if tracked.stages is None:
            tracked.stages = self._stages_behind(tracked)
            early, then = tracked.early or (snapshot, now)
            if not early.nodes.keys() <= snapshot.nodes.keys():
                # Inputs that have ended since are in no later reading.
                tracked.stages.record(early, 0, tracked.read_ns, then, began_ns)
                tracked.snapshot, tracked.read_ns = early, then
            tracked.early = None
        python_ns = self._generators.take_ns()
        tracked.stages.record(snapshot, python_ns, tracked.read_ns, now, began_ns)
        if began_ns is not None:
            place = tracked.place()
            tracked.services = self._services.follow(
                tracked.dataset(), self.stages_of(tracked), place
            )
        if tracked.services is not None:
            tracked.services.took(snapshot, tracked.read_ns, now)

    def read_early(self, tracked: TrackedIterator, iterator: Any, now: int) -> None:
        """Reads one whose first batch is still to come; called from another thread."""
        self._guard.run(self._read_early, tracked, iterator, now)

    def _read_early(self, tracked: TrackedIterator, iterator: Any, now: int) -> None:
        loop = tracked.loop
        epoch = loop.epoch_in_first_step if loop is not None else None
        snapshot = read_model(iterator)
        if snapshot is None:
            tracked.has_model = False
            return
        if not snapshot.nodes[snapshot.output].num_elements:
            tracked.early = (snapshot, now)
        if loop is None or epoch is None or tracked.first_was_ready or tracked.taken_in_python:
            return
        if first_batch_lies_ready(snapshot):
            tracked.first_was_ready = True
            loop.first_ready(epoch, now)
        else:
            tracked.not_ready = (epoch, now)

    def _note_late_first(self, tracked: TrackedIterator, now: int) -> None:
        """The first step of an epoch is over, and its batch was not ready when it was last looked for."""
        if tracked.loop is None or tracked.not_ready is None or tracked.first_was_ready:
            return
        tracked.first_was_ready = True
        epoch, looked_ns = tracked.not_ready
        # Where nobody could look for long, it is not known when it came.
        tracked.loop.first_ready(epoch, min(now, looked_ns + _LONGEST_UNSEEN_NS))

    def stages_of(self, tracked: TrackedIterator) -> PipelineStages:
        """The stages that it shares with all iterators of its dataset in the same kind of loop."""
        dataset, place = tracked.dataset(), tracked.place()
        if dataset is None:
            return PipelineStages(self._context, Pipeline(output=None), place)
        known = self._stages.setdefault(dataset, {})
        if place not in known:
            alike = next(iter(known.values()), None)
            pipeline = alike.pipeline if alike else describe_pipeline(dataset)
            known[place] = PipelineStages(self._context, pipeline, place)
        return known[place]

    def _stages_behind(self, tracked: TrackedIterator) -> IteratorStages | DistributedStages:
        stages, loop = self.stages_of(tracked), tracked.loop
        of_device = IteratorStages(stages)
        fed_by = loop.fed_by if loop is not None else None
        users_own = fed_by is not None and fed_by.kind is InputKind.TF_DATA
        if loop is None or not stages.distributed or not users_own:
            return of_device
        dataset = tracked.behind() if tracked.behind is not None else None
        if dataset is None:
            self._warn_unknown()
            return of_device
        pipeline = self._distributed_pipeline(dataset, tracked)
        if pipeline.plan_for(loop):
            traces = StageTraces(
                loop,
                pipeline,
                warmup=self._context.warmup,
                generators_ns=lambda: self._generators.spent_ns,
            )
            windows_on(loop, self._context.recorder.warn).plan_also(loop, traces)
        return DistributedStages(pipeline, of_device)

    def _distributed_pipeline(self, dataset: Any, tracked: TrackedIterator) -> DistributedPipeline:
        known, place = self._behind.setdefault(dataset, {}), tracked.place()
        if place not in known:
            stages = PipelineStages(self._context, describe_pipeline(dataset), place)
            known[place] = DistributedPipeline(stages, tracked.devices, self._warn_unknown)
            self._distributed.append(known[place])
        return known[place]

    def _warn_unknown(self) -> None:
        if has_tensorflow_peers(os.environ):
            self._context.recorder.warn(
                "Behind a tf.distribute strategy TensorFlow's own stages are seen only in short traces, "
                "and none is taken of a process that trains with others: TensorFlow's profiler can "
                "crash it. Stages in Python are seen."
            )
            return
        self._context.recorder.warn(
            "Behind a tf.distribute strategy the stages of a pipeline are seen only in short traces, "
            "and none could be taken: only the wait for all of them together is known. To see the stages, "
            f"train for more than {self._context.warmup} steps, with no other profiler on."
        )
