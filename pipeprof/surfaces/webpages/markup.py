"""HTML made of elements: text is escaped where it enters, so that a name is never markup."""

import html
import json
from typing import Any


class Markup(str):
    """Text that is HTML already; all other text is escaped."""

    __slots__ = ()


def element(name: str, *children: str | None, **attributes: str | bool | None) -> Markup:
    """An element with its children; None among them is nothing.

    Args:
        name: its tag.
        children: elements, and text to be shown as it is.
        attributes: by name, where ``class_`` is ``class`` and ``data_run`` is ``data-run``; True
            gives one without a value, None and False give none.
    """
    opened = "".join(map(_attribute, attributes, attributes.values()))
    inner = "".join(as_markup(child) for child in children if child is not None)
    return Markup(f"<{name}{opened}>{inner}</{name}>")


def as_markup(text: str) -> Markup:
    """HTML that shows a text as it is; an element stays itself."""
    return text if isinstance(text, Markup) else Markup(html.escape(text, quote=False))


def join_markup(*parts: Markup | None) -> Markup:
    """Elements one after the other."""
    return Markup("".join(part for part in parts if part is not None))


def json_text(value: Any) -> Markup:
    """A value as JSON that may stand in a script element: nothing in it can end that element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _attribute(name: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    plain = name.rstrip("_").replace("_", "-")
    return f" {plain}" if value is True else f' {plain}="{html.escape(value)}"'
