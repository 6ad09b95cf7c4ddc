from hypothesis import given
from hypothesis import strategies as st

from pipeprof.report.plain_text import clean, printable


def test_an_error_message_loses_its_terminal_codes_and_nothing_else():
    assert (
        clean("\x1b[1mException\x1b[0m in\n\n  layer\u200b 'a\u202eb'") == "Exception in layer 'ab'"
    )
    assert printable("if x:\ty") == "if x: y"


@given(st.text())
def test_clean_text_is_printable_and_stays_so(text: str):
    assert clean(text).isprintable()
    assert clean(clean(text)) == clean(text)
