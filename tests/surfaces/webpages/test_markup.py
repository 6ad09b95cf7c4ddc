import json

from hypothesis import given
from hypothesis import strategies as st

from pipeprof.surfaces.webpages.markup import Markup, element, join_markup, json_text


def test_text_is_escaped_and_elements_are_not() -> None:
    inner = element("b", "1 < 2")
    assert element("p", "a & b ", inner) == "<p>a &amp; b <b>1 &lt; 2</b></p>"


def test_attributes_are_quoted_named_as_html_does_and_left_out_where_none() -> None:
    made = element("a", class_='x" onclick="y', data_run="r", hidden=True, title=None)
    assert made == '<a class="x&quot; onclick=&quot;y" data-run="r" hidden></a>'


def test_nothing_among_children_is_nothing() -> None:
    assert element("p", None, "x", None) == "<p>x</p>"
    assert join_markup(Markup("<hr>"), None) == "<hr>"


@given(st.text())
def test_json_survives_and_cannot_end_its_element(text: str) -> None:
    held = json_text({"name": text})
    assert not set(held) & set("<>&\u2028\u2029")
    assert json.loads(held) == {"name": text}
