"""The report's colours can be read, by the measure of WCAG 2.2, in each of its looks."""

import re
from itertools import product
from pathlib import Path

import pytest

from penguin_infra.analytics import fleet_report

CSS = (Path(fleet_report.__file__).parent / "templates" / "fleet_report.css").read_text()
LOOKS = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in re.findall(r":root[^{]*\{([^}]*)\}", CSS)]
NAMES = ["light", "dark", "printed"]


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
def test_text_stands_out_from_what_is_behind_it(look: dict[str, str]) -> None:
    for text, behind in product(("text", "soft", "link"), ("page", "panel")):
        assert contrast(look[text], look[behind]) >= 4.5, (text, behind)


@pytest.mark.parametrize("look", LOOKS, ids=NAMES)
def test_charts_stand_out_from_the_page_and_have_a_shade_for_each_tone(look: dict[str, str]) -> None:
    tones = {name: colour for name, colour in look.items() if name.startswith("tone-")}
    assert set(tones) == {f"tone-{number}" for number in range(1, 9)}
    assert len(set(tones.values())) == 8
    for name, colour in tones.items():
        assert contrast(colour, look["page"]) >= 3, name
