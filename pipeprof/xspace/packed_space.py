"""A trace file (XSpace) of which one line at a time is unpacked, changed and put back.

Unpacking a whole trace takes ten times its size in memory.
"""

from collections.abc import Callable, Iterator
from typing import Any

from pipeprof.xspace.xplane_schema import XLine, XPlane

HOST_PLANE = "/host:CPU"

# Numbers of the fields that are read here; see `xplane_schema`.
_PLANES = 1
_LINES = 3
_LINE_NAME = 2

# The wire type of fields that have a length.
_WITH_LENGTH = 2


class PackedPlane:
    """A plane whose lines are packed.

    Args:
        message: the serialised plane.

    Attributes:
        is_changed: whether a line was put back.
    """

    def __init__(self, message: memoryview) -> None:
        self.is_changed = False
        self._lines: list[memoryview] = []
        self._others: list[memoryview] = []
        for number, whole, value in message_fields(message):
            if number == _LINES:
                self._lines.append(value)
            else:
                self._others.append(whole)
        self._described: Any = XPlane.FromString(b"".join(self._others))
        self._unpacked = 0

    @property
    def name(self) -> str:
        """The plane's name."""
        name: str = self._described.name
        return name

    def kinds(self, chosen: Callable[[str], bool]) -> list[int]:
        """Ids of the kinds of events for whose name ``chosen`` is true."""
        kinds = self._described.event_metadata.items()
        return [number for number, kind in kinds if chosen(kind.name)]

    @property
    def kind_names(self) -> dict[int, str]:
        """Names of the kinds of events, by their numbers."""
        return {number: kind.name for number, kind in self._described.event_metadata.items()}

    @property
    def stat_names(self) -> dict[int, str]:
        """Names of the stats, by their numbers; texts of stats that are kept once stand there too."""
        return {number: stat.name for number, stat in self._described.stat_metadata.items()}

    def own_stats(self) -> dict[str, int]:
        """The whole numbers among the stats of the plane itself, by their names."""
        names = self.stat_names
        return {
            names.get(stat.metadata_id, ""): stat.uint64_value or stat.int64_value
            for stat in self._described.stats
        }

    def stats(self, *names: str) -> set[int]:
        """Ids of the stats with these names."""
        stats = self._described.stat_metadata.items()
        return {number for number, stat in stats if stat.name in names}

    def lines(self, chosen: Callable[[str], bool]) -> Iterator[Any]:
        """Unpacks, one after the other, the lines for whose name ``chosen`` is true."""
        for index, packed in enumerate(self._lines):
            if chosen(_line_name(packed)):
                self._unpacked = index
                yield XLine.FromString(packed)

    def put_back(self, line: Any) -> None:
        """Replaces the line that `lines` yielded last by its changed form."""
        self._lines[self._unpacked] = memoryview(line.SerializeToString())
        self.is_changed = True

    def pack(self) -> bytes:
        """The plane as a message."""
        return b"".join([*self._others, *(_field(_LINES, line) for line in self._lines)])


class PackedSpace:
    """A trace whose lines are packed.

    Args:
        data: content of the trace's file.

    Raises:
        ValueError, DecodeError, IndexError: it is cut short, or no XSpace.
    """

    def __init__(self, data: bytes) -> None:
        self._fields: list[PackedPlane | memoryview] = [
            PackedPlane(value) if number == _PLANES else whole
            for number, whole, value in message_fields(memoryview(data))
        ]

    @property
    def planes(self) -> list[PackedPlane]:
        """Its planes."""
        return [field for field in self._fields if isinstance(field, PackedPlane)]

    @property
    def is_changed(self) -> bool:
        """Whether a line of a plane was put back."""
        return any(plane.is_changed for plane in self.planes)

    def pack(self) -> bytes:
        """Content of the trace's file, with the lines that were put back."""
        return b"".join(
            _field(_PLANES, field.pack()) if isinstance(field, PackedPlane) else field
            for field in self._fields
        )


def _line_name(packed: memoryview) -> str:
    """A line's name. It comes before the events, so little of the line is read."""
    for number, _, value in message_fields(packed):
        if number == _LINE_NAME:
            return str(value, "utf-8", "replace")
        if number > _LINE_NAME + 1:
            break
    return ""


def message_fields(message: memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """The fields of a serialised message.

    Yields:
        Number and bytes of each field, and its value (empty for a field without a length).

    Raises:
        ValueError: it is cut short, or no message.
    """
    at, end = 0, len(message)
    while at < end:
        start = at
        tag, at = _varint(message, at)
        value = message[at:at]
        match tag & 7:
            case 0:
                _, at = _varint(message, at)
            case 1:
                at += 8
            case 5:
                at += 4
            case 2:
                size, at = _varint(message, at)
                value = message[at : at + size]
                at += size
            case _:
                raise ValueError("it is of another format")
        if at > end:
            raise ValueError("it is cut short")
        yield tag >> 3, message[start:at], value


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _field(number: int, value: bytes | memoryview) -> bytes:
    """A field that has a length, serialised."""
    return b"".join([_packed_varint(number << 3 | _WITH_LENGTH), _packed_varint(len(value)), value])


def _packed_varint(value: int) -> bytes:
    packed = bytearray()
    while value > 0x7F:
        packed.append(value & 0x7F | 0x80)
        value >>= 7
    packed.append(value)
    return bytes(packed)
