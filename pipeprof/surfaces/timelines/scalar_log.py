"""A run's scalars over steps in TensorBoard's event file, also while the run is recorded.

It writes TensorBoard's own file format with TensorBoard's own messages and never loads TensorFlow, which
``tensorboard.compat`` does as soon as its ``tf`` is touched. It must not know what the analysis concludes:
it is imported before the training begins, and the conclusions are only at its end.
"""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import (
    DATA_CLASS_SCALAR,
    DATA_CLASS_TENSOR,
    Summary,
    SummaryMetadata,
)
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT, DT_STRING

from pipeprof.recording.loop import Loop
from pipeprof.recording.profile import Profile
from pipeprof.recording.run_info import RunInfo
from pipeprof.surfaces.timelines.event_records import to_records
from pipeprof.surfaces.timelines.scalars import Scalar, safe_name, scalars_of

_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def write_events(profile: Profile, loop: Loop | None, logdir: Path, report: str) -> None:
    """Writes the event file of a finished run.

    Args:
        profile: the recording.
        loop: the loop whose scalars are written, or None.
        logdir: TensorBoard's log folder.
        report: the report as it is printed.

    Raises:
        OSError: the file could not be written.
    """
    run = profile.run
    events = [_first_event(run), _text_event(run, report)]
    for scalar in scalars_of(loop, profile) if loop is not None else ():
        events += _scalar_events(scalar, run)
    write_whole(_event_file(run, logdir), _event_records(events))


# A place that no loop has.
_NONE = -1


class ScalarLog:
    """Appends a run's scalars to its event file while it is recorded, for a TensorBoard that looks on.

    Args:
        logdir: TensorBoard's log folder.
    """

    def __init__(self, logdir: Path) -> None:
        self._logdir = logdir
        self._path: Path | None = None
        self._loop: int | None = None
        self._written_ns: dict[str, int] = {}

    def update(self, profile: Profile) -> None:
        """Appends what has come to its end since the last time.

        Raises:
            OSError: the file could not be written.
        """
        number = _main_loop_number(profile)
        if number is None or (self._loop is not None and number != self._loop):
            return  # a longer loop than the one shown so far: all is written anew at the end
        self._loop = number
        loop = profile.loops[number]
        self._append(profile, list(self._new_events(loop, profile, until_ns=loop.end_ns)))

    def finish(self, profile: Profile, report: str) -> bool:
        """Appends the rest and the report; False when the file has to be written anew instead.

        Raises:
            OSError: the file could not be written.
        """
        number = _main_loop_number(profile)
        if self._path is None or number is None or number != self._loop:
            return False
        run = profile.run
        rest = self._new_events(profile.loops[number], profile, until_ns=None)
        self._append(profile, [*rest, _text_event(run, report)])
        return True

    def _new_events(self, loop: Loop, profile: Profile, until_ns: int | None) -> Iterable[Event]:
        for scalar in scalars_of(loop, profile):
            after_ns = self._written_ns.get(scalar.tag, profile.run.start_ns - 1)
            new = scalar.times_ns > after_ns
            if until_ns is not None:
                new &= scalar.times_ns <= until_ns
            if new.any():
                self._written_ns[scalar.tag] = int(scalar.times_ns[new][-1])
                yield from _scalar_events(scalar.only(new), profile.run)

    def _append(self, profile: Profile, events: list[Event]) -> None:
        run = profile.run
        if self._path is None:
            self._path = _event_file(run, self._logdir)
            write_whole(self._path, _event_records([_first_event(run)]))
        try:
            with self._path.open("ab") as file:
                file.write(_event_records(events))
        except OSError:
            self._loop = _NONE  # half a record may stand there: all is written anew at the end
            raise


def _main_loop_number(profile: Profile) -> int | None:
    main = profile.main_loop
    if main is None or not main.step_count:
        return None
    return next(number for number, loop in enumerate(profile.loops) if loop is main)


def _event_file(run: RunInfo, logdir: Path) -> Path:
    started_s = run.anchor.to_unix_ns(run.start_ns) // 1_000_000_000
    name = f"events.out.tfevents.{started_s:010d}.{host_of(run)}.pipeprof"
    folder = logdir / safe_name(run.name, "run")
    return (folder if run.rank is None else folder / f"rank-{run.rank.number}") / name


def host_of(run: RunInfo) -> str:
    """The machine of a run in the names of its files."""
    return safe_name(run.hosts[0] if run.hosts else "", "localhost")


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file that others see whole or not at all; makes its folder.

    Raises:
        OSError: it could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(content)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _event_records(events: Iterable[Event]) -> bytes:
    return to_records([event.SerializeToString() for event in events])


# What is written


def _first_event(run: RunInfo) -> Event:
    return Event(wall_time=_unix_s(run, run.start_ns), file_version="brain.Event:2")


def _text_event(run: RunInfo, report: str) -> Event:
    return Event(wall_time=_unix_s(run, run.end_ns), step=0, summary=_text_summary(report))


def _scalar_events(scalar: Scalar, run: RunInfo) -> Iterable[Event]:
    metadata = _metadata("scalars", scalar.description, DATA_CLASS_SCALAR)
    for time_ns, step, value in zip(
        scalar.times_ns.tolist(), scalar.steps.tolist(), scalar.values.tolist(), strict=True
    ):
        tensor = TensorProto(dtype=DT_FLOAT, tensor_shape=TensorShapeProto(), float_val=[value])
        value_of_tag = Summary.Value(tag=scalar.tag, tensor=tensor, metadata=metadata)
        yield Event(
            wall_time=_unix_s(run, time_ns), step=step, summary=Summary(value=[value_of_tag])
        )


def _unix_s(run: RunInfo, time_ns: int) -> float:
    return run.anchor.to_unix_ns(time_ns) / 1e9


def _text_summary(report: str) -> Summary:
    tensor = TensorProto(
        dtype=DT_STRING,
        tensor_shape=TensorShapeProto(),
        string_val=[_code_block(report).encode("utf-8", "replace")],
    )
    metadata = _metadata("text", "pipeprof's report on this run", DATA_CLASS_TENSOR)
    value = Summary.Value(tag="pipeprof/report", tensor=tensor, metadata=metadata)
    return Summary(value=[value])


def _code_block(text: str) -> str:
    """Markdown that shows a text as it is: no line of it can end an indented block."""
    lines = _TERMINAL_CODES.sub("", text).splitlines()
    return "\n".join(f"    {line}" for line in lines)


def _metadata(plugin: str, description: str, data_class: int) -> SummaryMetadata:
    return SummaryMetadata(
        plugin_data=SummaryMetadata.PluginData(plugin_name=plugin),
        summary_description=description,
        data_class=data_class,
    )
