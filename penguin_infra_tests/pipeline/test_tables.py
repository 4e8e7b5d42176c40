"""How figures are drawn in text for the UI."""

from penguin_infra.defs.tables import lines_over_time


def test_lines_share_one_scale_and_whatever_is_more_than_nothing_shows() -> None:
    drawn = lines_over_time({"zen.test": [0, 1, 100], "b.test": [0, 0, 50]}).value
    assert drawn == "```\nzen.test ·▁█ 100\nb.test   ··▄ 50\n```"


def test_lines_without_a_listing_are_flat_and_none_say_so() -> None:
    assert lines_over_time({"a": [0, 0]}).value == "```\na ·· 0\n```"
    assert lines_over_time({}).value == "nothing to show"
