"""A dataset's own ``on_epoch_end``, timed where the thread that trains runs it. Knows no framework."""

import functools
import threading
from collections.abc import Callable
from typing import Any

from pipeprof.capture.passed_frames import pass_over
from pipeprof.capture.probes.probe_context import ProbeContext
from pipeprof.capture.probes.python.users_line import users_function
from pipeprof.capture.recorder.facts import HostCallFacts
from pipeprof.capture.recorder.records import Kind, code
from pipeprof.clock import now_ns
from pipeprof.recording.account import Part
from pipeprof.recording.loop import LoopKind


@pass_over
def timed_epoch_end(
    original: Any, context: ProbeContext, begins: Callable[[], None]
) -> Callable[[Any], Any]:
    """An ``on_epoch_end`` that is timed.

    Args:
        original: the dataset's class.
        context: the profile's; the call belongs to the loop that is open in the calling thread. Keras 2
            also calls it in the thread of its workers' queue, where it holds up nobody.
        begins: called when it begins in that thread.
    """
    method = original.on_epoch_end
    facts = HostCallFacts(
        part=Part.BETWEEN_EPOCHS,
        name=f"{original.__name__}.on_epoch_end",
        location=users_function(method),
    )
    call: int | None = None
    validates = context.validating

    @functools.wraps(method)
    def on_epoch_end(self: Any) -> Any:
        nonlocal call
        loop = context.loops.current if context.in_framework and context.on else None
        if loop is None or loop.in_callback or loop.thread != threading.get_ident():
            return method(self)
        if validates and loop.kind is LoopKind.FIT:
            return method(self)  # Keras prepares the evaluation that comes next
        begins()
        if call is None:
            call = code(Kind.HOST_CALL, context.recorder.names.number(facts))
        loop.call_began_ns = start_ns = now_ns()
        loop.call = call
        loop.in_callback = True
        try:
            return method(self)
        finally:
            end_ns = now_ns()
            loop.in_callback = False
            loop.host_call(call, start_ns, end_ns)

    return on_epoch_end
