"""The rules of Chrome's trace format that viewers rely on, as far as they concern what is written."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]

_NEEDED = {
    "X": {"ts", "dur"},
    "C": {"ts", "args"},
    "M": {"args"},
    "s": {"ts", "id", "cat"},
    "f": {"ts", "id", "cat", "bp"},
}


def broken(events: list[Event]) -> list[str]:
    """What of a trace breaks the rules."""
    return [*_of_each(events), *_of_threads(events), *_of_arrows(events)]


def _ns(us: float) -> int:
    return round(us * 1000)


def _of_each(events: list[Event]) -> Iterator[str]:
    named = {(e["pid"], e["tid"]) for e in events if e["name"] == "thread_name"}
    for event in events:
        needed = _NEEDED.get(event["ph"], {"a known phase"}) | {"name", "pid", "tid"}
        if not needed <= event.keys():
            yield f"lacks {needed - event.keys()}: {event}"
        if event.get("ts", 0) < 0 or event.get("dur", 0) < 0:
            yield f"a negative time: {event}"
        if event["ph"] in "Xsf" and (event["pid"], event["tid"]) not in named:
            yield f"on a thread without a name: {event}"
        if event["ph"] == "C" and not all(
            isinstance(level, (int, float)) for level in event["args"].values()
        ):
            yield f"a level that is no number: {event}"


def _of_threads(events: list[Event]) -> Iterator[str]:
    """Intervals of a thread lie inside one another or apart."""
    threads = defaultdict(list)
    for event in events:
        if event["ph"] == "X":
            start = _ns(event["ts"])
            threads[event["pid"], event["tid"]].append((start, -start - _ns(event["dur"])))
    for thread, spans in threads.items():
        ends: list[int] = []
        for start, negative_end in sorted(spans):
            while ends and ends[-1] <= start:
                ends.pop()
            if ends and -negative_end > ends[-1]:
                yield f"two intervals overlap on {thread} at {start} ns"
            ends.append(-negative_end)


def _of_arrows(events: list[Event]) -> Iterator[str]:
    """Each arrow has one begin and one end, later, each inside an interval of its thread."""
    ends = defaultdict(list)
    for event in events:
        if event["ph"] in "sf":
            ends[event["id"]].append(event)
    for of_one in ends.values():
        if [event["ph"] for event in of_one] != ["s", "f"]:
            yield f"an arrow of other parts than a begin and an end: {of_one}"
            continue
        begin, end = of_one
        if (begin["name"], begin["cat"]) != (end["name"], end["cat"]) or end["bp"] != "e":
            yield f"ends that do not belong together: {of_one}"
        if end["ts"] < begin["ts"]:
            yield f"it ends before it begins: {of_one}"
        for event in of_one:
            if not enclosing(events, event):
                yield f"inside no interval: {event}"


def enclosing(events: list[Event], at: Event) -> list[Event]:
    """The intervals that an event of an arrow lies in."""
    return [
        event
        for event in events
        if event["ph"] == "X"
        and (event["pid"], event["tid"]) == (at["pid"], at["tid"])
        and _ns(event["ts"]) <= _ns(at["ts"]) < _ns(event["ts"]) + max(_ns(event["dur"]), 1)
    ]
