"""Adds what the training thread recorded of its passes, epochs, host calls and samples to the loops."""

import numpy as np

from pipeprof.capture.collector.account_sums import merged_samples, no_samples
from pipeprof.capture.collector.loop_sums import LoopSums
from pipeprof.capture.collector.run_sums import RunSums
from pipeprof.capture.collector.stream_events import Events, columns_of
from pipeprof.capture.recorder.records import Kind
from pipeprof.recording.account import PART_CODES, Part, PassContext
from pipeprof.recording.series import IntArray

_PASSES = (Kind.PASS_BEGAN, Kind.PASS_ENDED, Kind.EPOCH_BEGAN, Kind.EPOCH_ENDED)


class HostTime:
    """Knows which loop, and which part of a run, each of these records belongs to.

    Args:
        sums: what has been collected of the run.
    """

    def __init__(self, sums: RunSums) -> None:
        self._sums = sums

    @property
    def _loops(self) -> list[LoopSums]:
        return self._sums.registry.loops

    def add_passes(self, events: Events, kinds: IntArray) -> None:
        """Adds begins and ends of passes and epochs, one after the other: they depend on one another."""
        chosen = np.isin(kinds, _PASSES) & (events.targets >= 0)
        for at in np.flatnonzero(chosen).tolist():
            loop = self._loops[int(events.targets[at])]
            start_ns, end_ns = int(events["start_ns"][at]), int(events["end_ns"][at])
            inner = int(events["inner"][at])
            match kinds[at]:
                case Kind.PASS_BEGAN:
                    self._place_loose_samples(loop, inner)
                    loop.account.begin_pass(start_ns, _context(inner))
                case Kind.PASS_ENDED:
                    loop.account.end_pass(start_ns, end_ns, _context(inner))
                    self._add_validation(loop, inner, end_ns - start_ns)
                case Kind.EPOCH_BEGAN:
                    loop.account.begin_epoch(inner, start_ns)
                case Kind.EPOCH_ENDED:
                    loop.account.end_epoch(inner, start_ns, end_ns)

    def _add_validation(self, loop: LoopSums, context: int, length_ns: int) -> None:
        if loop.parent is not None and context == PassContext.BETWEEN_STEPS:
            self._loops[loop.parent].account.add_validation(length_ns)

    def _place_loose_samples(self, loop: LoopSums, context: int) -> None:
        """What was sampled before a pass of a training of the top level is now known to be what.

        Before the first such pass it is start-up, between two passes of one loop that loop's own code,
        else the run's.
        """
        if context != PassContext.TOP or not loop.facts.kind.trains:
            return
        loose, self._sums.loose_samples = self._sums.loose_samples, no_samples()
        if loop.account.pass_count:
            loop.account.add_samples(_of_part(loose, Part.OWN_CODE))
            return
        trained = any(
            other.account.start_ns is not None
            for other in self._loops
            if other is not loop and other.facts.kind.trains
        )
        part = Part.OWN_CODE if trained else Part.STARTUP
        self._sums.host_samples = merged_samples(self._sums.host_samples, _of_part(loose, part))

    def add_calls(self, events: Events) -> None:
        """Adds calls of the host's to the loops they were made in."""
        loops = self._sums.registry.translate(events.pid, events["inner"])
        callbacks = np.array(
            [call.part is Part.CALLBACKS for call in self._sums.registry.host_calls], bool
        )
        for index in sorted(set(loops[loops >= 0].tolist())):
            its = events.only(loops == index)
            self._loops[index].account.add_calls(
                columns_of(
                    its["start_ns"],
                    its["end_ns"],
                    its.targets,
                    its["value"],
                    callbacks[its.targets].astype(np.int64),
                )
            )

    def add_compiles(self, events: Events) -> None:
        """Adds calls that traced or compiled."""
        reasons = self._sums.registry.translate(events.pid, events["value"])
        for index in sorted(set(events.targets.tolist())):
            chosen = events.targets == index
            its = events.only(chosen)
            self._loops[index].account.add_compiles(
                columns_of(its["start_ns"], its["end_ns"], its["inner"], reasons[chosen])
            )

    def add_models(self, events: Events) -> None:
        """Adds work of the models of hand-written loops."""
        for index, its in events.each_target():
            self._loops[index].account.add_models(its["start_ns"], its["end_ns"])

    def add_first_ready(self, events: Events) -> None:
        """Adds when the first batches of epochs lay ready."""
        for index, its in events.each_target():
            for epoch, at_ns in zip(its["inner"].tolist(), its["start_ns"].tolist(), strict=True):
                self._loops[index].account.add_first_ready(epoch, at_ns)

    def add_samples(self, events: Events) -> None:
        """Adds samples of the training thread."""
        loops = self._sums.registry.translate(events.pid, events["inner"])
        table = columns_of(events.targets, events["value"], 0, np.ones(len(loops), np.int64))
        for index in sorted(set(loops.tolist())):
            rows = table[loops == index]
            if index < 0:
                self._sums.loose_samples = merged_samples(self._sums.loose_samples, rows)
                continue
            by_hand = self._loops[index].facts.kind.hand_written
            part = Part.OWN_CODE if by_hand else Part.BETWEEN_EPOCHS
            self._loops[index].account.add_samples(_of_part(rows, part))


def _context(value: int) -> PassContext:
    return PassContext(value) if value in tuple(PassContext) else PassContext.TOP


def _of_part(rows: IntArray, part: Part) -> IntArray:
    moved: IntArray = rows.copy()
    moved[:, 2] = PART_CODES[part]
    return moved
