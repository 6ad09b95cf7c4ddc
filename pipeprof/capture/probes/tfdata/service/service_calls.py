"""Calls to the servers of a tf.data service: which workers there are, and a trace of one of them.

Both are served on the ports that dispatcher and workers listen on anyway, so nothing is prepared there. The
few fields of the messages are written and read here; their numbers are from ``profiler_service.proto`` and
``profiler_options.proto`` (https://github.com/openxla/xla/tree/main/third_party/tsl/tsl/profiler/protobuf)
and from ``dispatcher.proto`` (https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/data/service).
"""

from collections.abc import Callable

import grpc

from pipeprof.xspace.packed_space import message_fields

_WORKERS = "/tensorflow.data.DispatcherService/GetWorkers"
_PROFILE = "/tensorflow.ProfilerService/Profile"

# The largest trace that is taken from a worker.
MOST_BYTES = 64 << 20

# A dispatcher answers at once; a worker has to collect its trace first.
_CONNECT_S = 3.0
_COLLECT_S = 10.0

_IN_USE = "profil"


class ServerProblem(Exception):  # noqa: N818 - it says what happened
    """A server did not give what it was asked for; the text is the reason, in words for the user."""


def ask_for_workers(dispatcher: str) -> tuple[str, ...]:
    """The addresses (``host:port``) of the workers that a dispatcher knows.

    Raises:
        ServerProblem: it did not answer, or is no dispatcher.
    """
    try:
        answer = _call(dispatcher, _WORKERS, b"", timeout_s=_CONNECT_S)
    except grpc.RpcError as error:
        raise ServerProblem(_reason(error, "it is no dispatcher of a tf.data service")) from error
    workers = (_text(worker, 1) for worker in _messages(answer, 1))
    return tuple(address for address in workers if address)


def ask_for_trace(
    worker: str, duration_ms: int, meanwhile: Callable[[], None] = lambda: None
) -> bytes:
    """A trace of a worker, as a serialised XSpace.

    Args:
        worker: its address.
        duration_ms: how long to trace it.
        meanwhile: called once the worker was asked.

    Raises:
        ServerProblem: it did not answer, has no profiler, or another one traces it.
    """
    # The level decides whether the iterators of tf.data are in the trace.
    options = (
        _number(5, 1) + _number(6, 2) + _number(1, 1) + _number(2, 2) + _number(9, duration_ms)
    )
    request = (
        _number(1, duration_ms)
        + _bytes(4, options)
        + _bytes(6, b"pipeprof")
        + _bytes(7, b"worker")
        + _number(9, 1)
    )
    try:
        answer = _call(
            worker,
            _PROFILE,
            request,
            timeout_s=_CONNECT_S + _COLLECT_S + duration_ms / 1e3,
            meanwhile=meanwhile,
        )
    except grpc.RpcError as error:
        raise ServerProblem(_reason(error, "it has no profiler")) from error
    traces = list(_messages(answer, 8))
    if not traces:
        raise ServerProblem("it sent no trace: its version of TensorFlow may be too old for that")
    return bytes(traces[0])


def _call(
    address: str,
    method: str,
    request: bytes,
    *,
    timeout_s: float,
    meanwhile: Callable[[], None] = lambda: None,
) -> bytes:
    options = [("grpc.max_receive_message_length", MOST_BYTES), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options=options) as channel:
        answer = channel.unary_unary(method).future(request, timeout=timeout_s)
        meanwhile()
        result: bytes = answer.result()
        return result


def _reason(error: grpc.RpcError, unknown: str) -> str:
    """Why a call failed.

    Args:
        error: the failure.
        unknown: what it means that a server does not know the method.
    """
    match error.code():
        case grpc.StatusCode.UNAVAILABLE:
            return "it does not answer"
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return "it did not answer in time"
        case grpc.StatusCode.UNIMPLEMENTED:
            return unknown
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return f"its trace has more than {MOST_BYTES >> 20} MB"
        case _ if _IN_USE in (error.details() or "").lower():
            return "another profiler traces it"
        case code:
            return f"it answered {code.name}"


def _messages(message: bytes, number: int) -> list[memoryview]:
    try:
        return [value for at, _, value in message_fields(memoryview(message)) if at == number]
    except (IndexError, ValueError) as error:
        raise ServerProblem("what it answered could not be read") from error


def _text(message: memoryview, number: int) -> str:
    found = _messages(bytes(message), number)
    return str(found[0], "utf-8", "replace") if found else ""


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])
