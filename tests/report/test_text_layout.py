from rich.text import Text

from pipeprof.report.plain_text import shorten, shorten_location, shown
from pipeprof.report.text_layout import Column, column_table, flow, labelled, page

NAME = Column(header="name", cells=("decode_and_augment", "read"), least=6)
COST = Column(header="cost", cells=("29.8 ms", "1.2 ms"), right=True)
PLACE = Column(header="place", cells=("a thread", "here"), least=4)


def drawn(width: int) -> list[str]:
    table = column_table((NAME, COST, PLACE), width)
    return page([table], width=width, color=False, ascii_only=False).split("\n")


def test_a_table_with_room_is_as_wide_as_its_texts():
    assert drawn(80) == [
        "name                   cost  place",
        "decode_and_augment  29.8 ms  a thread",
        "read                 1.2 ms  here",
    ]


def test_gaps_become_narrower_first():
    assert drawn(36) == [
        "name                  cost place",
        "decode_and_augment 29.8 ms a thread",
        "read                1.2 ms here",
    ]


def test_then_the_widest_columns_shrink():
    assert drawn(25) == [
        "name        cost place",
        "decode_… 29.8 ms a thread",
        "read      1.2 ms here",
    ]


def test_when_that_is_not_enough_the_rightmost_column_is_left_out():
    assert drawn(16) == [
        "name        cost",
        "decode_… 29.8 ms",
        "read      1.2 ms",
    ]


def test_texts_are_shortened_by_cells_of_the_screen():
    assert shorten("decode", 6) == "decode"
    assert shorten("decode", 5) == "deco…"
    assert shorten("日本語", 4) == "日…"
    assert shorten("decode", 0) == "…"


def test_a_location_keeps_its_line():
    assert shorten_location("train_everything.py:41", 10) == "train_…:41"
    assert shorten_location("train_everything.py:123456789", 10) == "train_eve…"
    assert shorten_location("(added by Keras)", 10) == "(added by…"


def test_a_name_is_never_empty_or_endless():
    assert shown("\x00") == "\N{EN DASH}"
    assert len(shown("x" * 1_000)) == 60


def test_pieces_flow_into_lines():
    assert flow(("one", "two", "three"), 9) == ["one · two", "three"]
    assert flow(("a piece too long", "b"), 5) == ["a piece too long", "b"]
    assert flow((), 5) == []


def test_a_page_keeps_sections_apart_and_leaves_out_what_is_none():
    sections = (Text("[b]one[/b]"), None, labelled(Text("Why"), [Text("because"), Text("so…")]))
    assert page(sections, width=20, color=False, ascii_only=False) == (
        "[b]one[/b]\n\n  Why  because\n       so…"
    )
    assert page((Text("日 … é"),), width=20, color=False, ascii_only=True) == "?? ~ ?"
