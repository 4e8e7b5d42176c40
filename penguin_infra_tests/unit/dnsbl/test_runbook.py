"""The runbook of the blacklists holds what the catalogue and the faults lead people to."""

import re
from pathlib import Path

import pytest

from penguin_infra.dnsbl.catalogue import Blacklist, load_catalogue, parse_catalogue
from penguin_infra.domain.list_health import ListFault

RUNBOOK = (Path(__file__).parents[3] / "docs" / "runbooks" / "blacklists.md").read_text(encoding="utf-8")
SECTIONS = {
    heading.lower(): text
    for heading, text in re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
}


@pytest.mark.parametrize("blacklist", load_catalogue().lists, ids=lambda one: one.zone)
def test_every_list_stands_in_its_familys_section_with_its_codes_and_the_way_off(blacklist: Blacklist) -> None:
    section = SECTIONS[blacklist.family]
    # Keyed lists of one operator are told together.
    assert blacklist.zone in section or blacklist.zone.split(".", 1)[0] in section
    for code in blacklist.codes:
        assert f".{str(code.code).rsplit('.', 1)[1]}" in section
        assert code.severity in section
    if blacklist.delist_url_pattern:
        assert blacklist.delist_url_pattern.replace("{ip}", "ADDRESS") in section
    for budget in (blacklist.budget_per_day, blacklist.budget_per_30_days):
        assert budget is None or f"{budget:,}" in section


def test_the_table_leads_to_every_section_and_to_none_that_is_not_there() -> None:
    named = set(re.findall(r"\| \[([a-z]+)\]\(#\1\)", RUNBOOK))
    families = {one.family for one in load_catalogue().lists} | {one.family for one in load_catalogue().subscriptions}
    assert named == families
    assert named <= SECTIONS.keys()
    assert Blacklist.__dataclass_fields__["family"].default in SECTIONS


def test_every_fault_of_a_list_is_explained() -> None:
    explained = set(re.findall(r"^\| `([a-z_]+)` \|", RUNBOOK, re.MULTILINE))
    assert explained == set(ListFault)


def test_the_example_of_a_subscription_is_a_catalogue() -> None:
    example = "\n".join(line[4:] for line in SECTIONS["invaluement"].splitlines() if line.startswith("    "))
    (blacklist,) = parse_catalogue(example).lists
    assert (blacklist.family, blacklist.key_name) == ("invaluement", "invaluement")
