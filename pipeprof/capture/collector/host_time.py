"""Adds what the training thread recorded of its passes, epochs, host calls and samples to the loops."""

import numpy as np

from pipeprof.capture.collector.account_sums import AccountSums
from pipeprof.capture.collector.loop_sums import LoopSums
from pipeprof.capture.collector.run_sums import RunSums
from pipeprof.capture.collector.sample_rows import merged_samples, no_samples
from pipeprof.capture.collector.stream_events import Events, columns_of, distinct
from pipeprof.capture.recorder.records import BETWEEN_STEPS, WEIGHT_SHIFT, Kind
from pipeprof.recording.account import PART_CODES, HostState, Part, PassContext
from pipeprof.recording.intervals import no_intervals
from pipeprof.recording.lane import Role
from pipeprof.recording.light_dataclasses import dataclass
from pipeprof.recording.loop import LoopKind
from pipeprof.recording.series import BoolArray, IntArray

_TRAINING = (Role.MAIN, Role.TRAINING)
_MOST_RECENT = 1024
_PASSES = (Kind.PASS_BEGAN, Kind.PASS_ENDED, Kind.EPOCH_BEGAN, Kind.EPOCH_ENDED)
_IS_OF_PASSES: BoolArray = np.zeros(256, bool)
_IS_OF_PASSES[[*_PASSES]] = True


@dataclass
class _Pass:
    """A pass of a loop, given by its index, on a lane; ``end_ns`` is None while it runs."""

    loop: int
    lane: int
    start_ns: int
    end_ns: int | None = None


# So long samples outside of all loops keep their time.
_RECENT_NS = 30_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Begun:
    """A pass of a training of the top level that has begun.

    Attributes:
        start_ns: when.
        account: that of its loop.
        goes_on: whether the loop had passes before: what lies between is its own code.
        by_hand: whether it is a hand-written loop.
        before: what the time before a loop's first pass was.
    """

    start_ns: int
    account: AccountSums
    goes_on: bool
    by_hand: bool
    before: Part


class HostTime:
    """Finds the loop, or the part of the run, that each record of the training thread belongs to.

    Args:
        sums: what has been collected of the run.
    """

    def __init__(self, sums: RunSums) -> None:
        self._sums = sums
        # Passes and samples come from rings that are read one after the other.
        self._begun: list[_Begun] = []
        self._outside_samples: list[IntArray] = []
        self._passes: list[_Pass] = []
        # Work of the input by lane, of which no pass is known yet: a pass may have begun before it.
        self._recent_input: dict[int, IntArray] = {}

    @property
    def _loops(self) -> list[LoopSums]:
        return self._sums.registry.loops

    def add_passes(self, events: Events, kinds: IntArray) -> None:
        """Adds begins and ends of passes and epochs, one after the other: they depend on one another."""
        self._passes = [each for each in self._passes if each.end_ns is None]
        for at in np.flatnonzero(_IS_OF_PASSES[kinds] & (events.targets >= 0)).tolist():
            index = int(events.targets[at])
            loop = self._loops[index]
            start_ns, end_ns = int(events.start_ns[at]), int(events.end_ns[at])
            inner = int(events.inner[at])
            match kinds[at]:
                case Kind.PASS_BEGAN:
                    self._note_begin(loop, start_ns, inner)
                    loop.account.begin_pass(start_ns, _context(inner))
                    self._passes.append(_Pass(index, int(events.lanes[at]), start_ns))
                case Kind.PASS_ENDED:
                    loop.account.end_pass(start_ns, end_ns, _context(inner))
                    self._end_pass(index, end_ns)
                    self._add_validation(loop, inner, end_ns - start_ns)
                case Kind.EPOCH_BEGAN:
                    loop.account.begin_epoch(inner, start_ns)
                case Kind.EPOCH_ENDED:
                    loop.account.end_epoch(inner, start_ns, end_ns)

    def _end_pass(self, loop: int, end_ns: int) -> None:
        for each in self._passes:
            if each.loop == loop and each.end_ns is None:
                each.end_ns = end_ns

    def add_input(self, events: Events) -> None:
        """Adds work of the input that ran on the thread of a pass, during that pass."""
        for lane in distinct(events.lanes):
            if lane < 0:
                continue
            passes = [each for each in self._passes if each.lane == lane]
            if not passes and self._sums.registry.lanes[lane].role not in _TRAINING:
                continue
            its = events.at(events.lanes == lane)
            spans = columns_of(its.start_ns, its.end_ns)
            left = np.concatenate([self._recent_input.get(lane, no_intervals()), spans])
            for each in reversed(passes):  # the innermost first
                inside = left[:, 0] >= each.start_ns
                if each.end_ns is not None:
                    inside &= left[:, 0] < each.end_ns
                self._loops[each.loop].account.add_input(left[inside])
                left = left[~inside]
            self._recent_input[lane] = left[-_MOST_RECENT:]

    def _add_validation(self, loop: LoopSums, context: int, length_ns: int) -> None:
        validates = loop.facts.kind is LoopKind.EVALUATE and context == PassContext.BETWEEN_STEPS
        if loop.parent is not None and validates:
            self._loops[loop.parent].account.add_validation(length_ns)

    def _note_begin(self, loop: LoopSums, start_ns: int, context: int) -> None:
        """Notes the begin of a pass of a top-level training, which decides what the time before it was.

        Before the first such pass of the run it was start-up; between two passes of one loop it was that
        loop's own code; else it was own code of the run.
        """
        if context != PassContext.TOP or not loop.facts.kind.trains:
            return
        trained = any(
            other.account.start_ns is not None
            for other in self._loops
            if other is not loop and other.facts.kind.trains
        )
        self._begun.append(
            _Begun(
                start_ns=start_ns,
                account=loop.account,
                goes_on=loop.account.pass_count > 0,
                by_hand=loop.facts.kind.hand_written,
                before=Part.OWN_CODE if trained else Part.STARTUP,
            )
        )

    def settle(self) -> None:
        """Assigns samples outside of all loops to the pass that began after them, or to the run."""
        sums = self._sums
        sampled = np.concatenate([sums.recent_samples, *self._outside_samples])
        for begun in sorted(self._begun, key=lambda begun: begun.start_ns):
            before = sampled[:, 0] < begun.start_ns
            rows = merged_samples(sums.loose_samples, sampled[before, 1:])
            sums.loose_samples, sampled = no_samples(), sampled[~before]
            if begun.goes_on:
                begun.account.add_samples(_of_part(rows, Part.OWN_CODE))
            else:
                sums.host_samples = merged_samples(sums.host_samples, _of_part(rows, begun.before))
            # A hand-written loop shows itself some steps after its begin, Keras's after its preparations.
            inside = sampled[:, 0] < begun.account.latest_end_ns(begun.start_ns)
            if begun.by_hand:
                begun.account.add_samples(_of_part(sampled[inside, 1:], Part.OWN_CODE))
            else:
                first = Part.BETWEEN_EPOCHS if begun.goes_on else Part.STARTUP
                begun.account.add_early_samples(sampled[inside], first)
            sampled = sampled[~inside]
        if len(sampled):
            recent = sampled[:, 0] >= sampled[-1, 0] - _RECENT_NS
            sums.loose_samples = merged_samples(sums.loose_samples, sampled[~recent, 1:])
            sampled = sampled[recent]
        sums.recent_samples = sampled
        self._begun, self._outside_samples = [], []

    def add_calls(self, events: Events) -> None:
        """Adds calls of the host's to the loops they were made in."""
        loops = self._sums.registry.translate(events.pid, events.inner)
        parts = np.array(
            [PART_CODES[call.part] for call in self._sums.registry.host_calls], np.int64
        )
        for index in distinct(loops):
            if index < 0:
                continue
            its = events.at(loops == index)
            self._loops[index].account.add_calls(
                columns_of(
                    its.start_ns,
                    its.end_ns,
                    its.targets,
                    its.value,
                    parts[its.targets],
                )
            )

    def add_open_calls(self, events: Events) -> None:
        """Adds calls of the host's that had begun and not ended."""
        loops = self._sums.registry.translate(events.pid, events.inner)
        for at in np.flatnonzero(loops >= 0).tolist():
            call = int(events.targets[at])
            part = PART_CODES[self._sums.registry.host_calls[call].part]
            row = (int(events.start_ns[at]), call, int(events.value[at]), part)
            self._loops[loops[at]].account.open_call = row

    def add_compiles(self, events: Events) -> None:
        """Adds calls that traced or compiled."""
        reasons = self._sums.registry.translate(events.pid, events.value)
        for index in distinct(events.targets):
            chosen = events.targets == index
            its = events.at(chosen)
            self._loops[index].account.add_compiles(
                columns_of(its.start_ns, its.end_ns, its.inner, reasons[chosen])
            )

    def add_models(self, events: Events) -> None:
        """Adds work of the models of hand-written loops."""
        for index, its in events.each_target():
            self._loops[index].account.add_models(its.start_ns, its.end_ns)

    def add_first_ready(self, events: Events) -> None:
        """Adds when the first batches of epochs lay ready."""
        for index, its in events.each_target():
            for epoch, at_ns in zip(its.inner.tolist(), its.start_ns.tolist(), strict=True):
                self._loops[index].account.add_first_ready(epoch, at_ns)

    def add_samples(self, events: Events) -> None:
        """Adds samples of the training thread."""
        loops = self._sums.registry.translate(events.pid, events.inner)
        value = events.value
        between = value & BETWEEN_STEPS != 0
        parts = np.where(between, PART_CODES[Part.BETWEEN_EPOCHS], PART_CODES[Part.OWN_CODE])
        states, weights = value & (BETWEEN_STEPS - 1), (value >> WEIGHT_SHIFT) + 1
        of_others = np.isin(states, (HostState.FEEDING, HostState.BESIDE))
        table = columns_of(events.end_ns, events.targets, states, parts, weights, weights**2)
        since_ns = np.maximum(events.end_ns - events.start_ns, 0)
        for index in distinct(loops):
            chosen = loops == index
            if index < 0:
                self._outside_samples.append(table[chosen])
                continue
            account = self._loops[index].account
            steady = chosen & ~between & ~of_others
            account.add_step_samples(table[steady, 1:], since_ns[steady])
            account.add_samples(table[chosen & ~steady, 1:])


def all_host_samples(sums: RunSums) -> IntArray:
    """The samples outside of all loops, those after the latest training pass so far among them."""
    trained = any(
        loop.account.start_ns is not None for loop in sums.registry.loops if loop.facts.kind.trains
    )
    part = Part.SHUTDOWN if trained else Part.STARTUP
    loose = merged_samples(sums.loose_samples, sums.recent_samples[:, 1:])
    return merged_samples(sums.host_samples, _of_part(loose, part))


def _context(value: int) -> PassContext:
    return PassContext(value) if value in tuple(PassContext) else PassContext.TOP


def _of_part(rows: IntArray, part: Part) -> IntArray:
    moved: IntArray = rows.copy()
    moved[:, 2] = PART_CODES[part]
    return moved
