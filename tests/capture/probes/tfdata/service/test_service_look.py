"""Servers of a tf.data service are asked over gRPC; those here answer what the test sets."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
import pytest

from pipeprof.capture.probes.tfdata.service.service_calls import (
    ServerProblem,
    ask_for_trace,
    ask_for_workers,
)
from pipeprof.capture.probes.tfdata.service.service_look import MOST_WORKERS, look
from pipeprof.xspace.xplane_schema import XSpace

Answer = Callable[[bytes, grpc.ServicerContext], bytes]

WORKERS = "/tensorflow.data.DispatcherService/GetWorkers"
PROFILE = "/tensorflow.ProfilerService/Profile"
NOBODY = "localhost:1"


def field(number: int, value: bytes) -> bytes:
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def traced(request: bytes, context: grpc.ServicerContext) -> bytes:
    return field(8, XSpace().SerializeToString() or b"\x12\x01x")


@contextmanager
def server(**answers: Answer) -> Iterator[str]:
    """A server with these methods (``workers``, ``profile``); gives its address."""
    methods = {"workers": WORKERS, "profile": PROFILE}
    handlers = {methods[name]: answer for name, answer in answers.items()}

    class Handler(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
            answer = handlers.get(details.method)
            return grpc.unary_unary_rpc_method_handler(answer) if answer else None

    with ThreadPoolExecutor(2) as pool:
        running = grpc.server(pool, handlers=(Handler(),))
        port = running.add_insecure_port("localhost:0")
        running.start()
        try:
            yield f"localhost:{port}"
        finally:
            running.stop(None).wait()


def refusing(code: grpc.StatusCode, text: str) -> Answer:
    def refuse(request: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(code, text)
        raise AssertionError

    return refuse


def test_a_dispatcher_tells_its_workers() -> None:
    answer = field(1, field(1, b"one:5051")) + field(1, field(1, b"two:5051"))
    with server(workers=lambda request, context: answer) as address:
        assert ask_for_workers(address) == ("one:5051", "two:5051")


def test_a_worker_sends_its_trace_and_is_asked_for_it_in_the_answer() -> None:
    asked = []

    def profile(request: bytes, context: grpc.ServicerContext) -> bytes:
        asked.append(request)
        return traced(request, context)

    with server(profile=profile) as address:
        assert ask_for_trace(address, 300) == b"\x12\x01x"
    # Field 9 asks for the trace in the answer: nothing is written on the worker's side.
    assert asked[0].endswith(b"\x48\x01")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({}, "it has no profiler"),
        ({"profile": lambda request, context: b""}, "it sent no trace"),
        ({"profile": lambda request, context: b"\x42\xff"}, "could not be read"),
        (
            {"profile": refusing(grpc.StatusCode.ALREADY_EXISTS, "Another profiler is active.")},
            "another profiler traces it",
        ),
        ({"profile": refusing(grpc.StatusCode.INTERNAL, "no")}, "it answered INTERNAL"),
        (
            {"profile": refusing(grpc.StatusCode.UNAVAILABLE, "going away")},
            "it does not answer",
        ),
    ],
)
def test_why_a_worker_gave_no_trace(answer: dict[str, Answer], reason: str) -> None:
    with server(**answer) as address, pytest.raises(ServerProblem, match=reason):
        ask_for_trace(address, 100)


def test_a_server_that_is_no_dispatcher_or_does_not_answer_has_a_reason() -> None:
    with server(profile=traced) as worker:
        found = look(worker, (), 100)
    assert found["problem"] == "it is no dispatcher of a tf.data service"
    assert look(NOBODY, (), 100)["problem"] == "it does not answer"


def test_one_look_has_workers_that_answer_and_those_that_do_not() -> None:
    with server(profile=lambda request, context: field(8, b"")) as worker:
        found = look(None, (worker, NOBODY), 100)
    answered, gone = found["workers"]
    assert (answered["problem"], answered["pipelines"]) == (None, [])
    assert answered["pid"] is not None  # this very process listens there
    assert (gone["address"], gone["problem"]) == (NOBODY, "it does not answer")


def test_of_many_workers_some_are_looked_at() -> None:
    many = [f"localhost:{port}" for port in range(1, 40)]
    found = look(None, many, 100)
    assert found["found"] == len(many)
    assert 1 < len(found["workers"]) <= MOST_WORKERS
