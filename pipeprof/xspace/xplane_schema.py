"""The messages of an XSpace file, the format of XProf and of TensorBoard's profile page.

The message classes are built when this module is loaded, in a pool of their own. They need no TensorFlow,
and do not clash with its classes where it is loaded. Names and numbers of fields are from ``xplane.proto``:
https://github.com/openxla/xla/tree/main/third_party/tsl/tsl/profiler/protobuf. Fields that pipeprof does
not use are left out; parsing keeps them as unknown fields.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_PACKAGE = "pipeprof.xplane"
_Field = descriptor_pb2.FieldDescriptorProto

_TYPES = {
    "bytes": _Field.TYPE_BYTES,
    "double": _Field.TYPE_DOUBLE,
    "int64": _Field.TYPE_INT64,
    "string": _Field.TYPE_STRING,
    "uint64": _Field.TYPE_UINT64,
}

# Message name to fields: name, number, type. ``*`` marks a repeated field, ``|`` a member of the
# message's one choice, and ``{}`` a map from int64.
_MESSAGES: dict[str, tuple[tuple[str, int, str], ...]] = {
    "XSpace": (
        ("planes", 1, "XPlane*"),
        ("errors", 2, "string*"),
        ("warnings", 3, "string*"),
        ("hostnames", 4, "string*"),
    ),
    "XPlane": (
        ("id", 1, "int64"),
        ("name", 2, "string"),
        ("lines", 3, "XLine*"),
        ("event_metadata", 4, "XEventMetadata{}"),
        ("stat_metadata", 5, "XStatMetadata{}"),
        ("stats", 6, "XStat*"),
    ),
    "XLine": (
        ("id", 1, "int64"),
        ("name", 2, "string"),
        ("timestamp_ns", 3, "int64"),
        ("events", 4, "XEvent*"),
        ("duration_ps", 9, "int64"),
        ("display_id", 10, "int64"),
        ("display_name", 11, "string"),
    ),
    "XEvent": (
        ("metadata_id", 1, "int64"),
        ("offset_ps", 2, "int64|"),
        ("duration_ps", 3, "int64"),
        ("stats", 4, "XStat*"),
        ("num_occurrences", 5, "int64|"),
    ),
    "XStat": (
        ("metadata_id", 1, "int64"),
        ("double_value", 2, "double|"),
        ("uint64_value", 3, "uint64|"),
        ("int64_value", 4, "int64|"),
        ("str_value", 5, "string|"),
        ("bytes_value", 6, "bytes|"),
        ("ref_value", 7, "uint64|"),
    ),
    "XEventMetadata": (
        ("id", 1, "int64"),
        ("name", 2, "string"),
        ("metadata", 3, "bytes"),
        ("display_name", 4, "string"),
        ("stats", 5, "XStat*"),
        ("child_id", 6, "int64*"),
    ),
    "XStatMetadata": (
        ("id", 1, "int64"),
        ("name", 2, "string"),
        ("description", 3, "string"),
    ),
}


def _describe_field(
    message: descriptor_pb2.DescriptorProto, name: str, number: int, type_: str
) -> None:
    described = message.field.add(name=name, number=number, label=_Field.LABEL_OPTIONAL)
    base = type_.rstrip("*|{}")
    if base in _TYPES:
        described.type = _TYPES[base]
    else:
        described.type = _Field.TYPE_MESSAGE
        described.type_name = f".{_PACKAGE}.{base}"
    if type_.endswith("*"):
        described.label = _Field.LABEL_REPEATED
    elif type_.endswith("|"):
        described.oneof_index = 0
        if not message.oneof_decl:
            message.oneof_decl.add(name="value")
    elif type_.endswith("{}"):
        entry = message.nested_type.add(name=_entry_name(name))
        entry.options.map_entry = True
        _describe_field(entry, "key", 1, "int64")
        _describe_field(entry, "value", 2, base)
        described.label = _Field.LABEL_REPEATED
        described.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"


def _entry_name(field: str) -> str:
    return "".join(word.capitalize() for word in field.split("_")) + "Entry"


def _build_pool() -> descriptor_pool.DescriptorPool:
    file = descriptor_pb2.FileDescriptorProto(
        name="pipeprof/xplane.proto", package=_PACKAGE, syntax="proto3"
    )
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields:
            _describe_field(message, *field)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


_POOL = _build_pool()


def _message_class(name: str) -> Any:
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


# The classes that are used directly: ``XSpace.FromString`` parses a file. The others are reached through
# them (``space.planes.add()``). No type checker knows their fields.
XSpace: Any = _message_class("XSpace")
XPlane: Any = _message_class("XPlane")
XLine: Any = _message_class("XLine")
XStat: Any = _message_class("XStat")
