import pytest

from pipeprof.report.figures.theme import COMPUTE, INPUT, TEMPLATES, UNKNOWN, WAIT

PAGES = ("#ffffff", "#16191d")  # the backgrounds in static/page.css


def luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("color", [WAIT, COMPUTE, UNKNOWN, *INPUT])
def test_colours_of_data_stand_out_on_light_and_dark_pages(color: str, page: str) -> None:
    assert contrast(color, page) >= 3.0  # WCAG 2.2, 1.4.11


@pytest.mark.parametrize(("theme", "page"), [("light", PAGES[0]), ("dark", PAGES[1])])
def test_text_in_pictures_can_be_read(theme: str, page: str) -> None:
    layout = TEMPLATES[theme]["layout"]
    assert contrast(layout["font"]["color"], page) >= 7.0
    assert contrast(layout["xaxis"]["tickfont"]["color"], page) >= 4.5  # 1.4.3
