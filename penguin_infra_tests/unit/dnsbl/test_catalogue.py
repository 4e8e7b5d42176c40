"""The catalogue that ships, and what a wrong one is told."""

from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path
from textwrap import dedent

import pytest
from pydantic import SecretStr

from penguin_infra.dnsbl.catalogue import (
    CatalogueError,
    RetiredZone,
    Scope,
    UnknownZone,
    load_catalogue,
    parse_catalogue,
)
from penguin_infra.domain.listing import Answer, Severity, Verdict, classify

NOW = datetime(2026, 11, 24, tzinfo=UTC)
KEY = SecretStr("hush4711")

GOOD = dedent("""
    [[lists]]
    zone = "bl.test"
    name = "Test list"
    operator = "Nobody"
    codes = [{ code = "127.0.0.2", meaning = "listed", severity = "low" }]
    evidence = "none"
    checked_on = 2026-11-24
""")


def test_the_lists_of_the_specification_are_swept_by_default_but_for_the_retired_one() -> None:
    zones = {one.zone for one in load_catalogue().select()}
    assert {"zen.spamhaus.org", "b.barracudacentral.org", "bl.spamcop.net"} <= zones
    assert not any("sorbs" in zone for zone in zones)


def test_no_list_that_needs_a_key_is_swept_by_default() -> None:
    assert not any(one.needs_key for one in load_catalogue().select())
    assert any(one.needs_key for one in load_catalogue().lists)


def test_a_list_that_is_off_says_why() -> None:
    off = [one for one in load_catalogue().lists if not one.is_enabled_by_default]
    assert off
    assert all(one.why_off for one in off)


def test_lists_of_ranges_never_weigh_enough_to_pause_a_node() -> None:
    ranges = [one for one in load_catalogue().lists if one.scope is Scope.RANGE]
    assert {one.zone for one in ranges} == {"dnsbl-2.uceprotect.net", "dnsbl-3.uceprotect.net"}
    assert all(code.severity is Severity.INFORMATIONAL for one in ranges for code in one.codes)


def test_a_listing_on_spamhaus_is_critical_or_high_but_for_its_policy_list() -> None:
    (zen,) = load_catalogue().select(["zen.spamhaus.org"])
    assert zen.worst_code.severity is Severity.CRITICAL
    assert {str(code.code) for code in zen.codes if code.severity is Severity.POLICY} == {"127.0.0.10", "127.0.0.11"}


@pytest.mark.parametrize("zone", [one.zone for one in load_catalogue().lists])
def test_the_answer_of_every_test_point_is_a_listing(zone: str) -> None:
    (blacklist,) = (one for one in load_catalogue().lists if one.zone == zone)
    answer = Answer(NOW, "r", blacklist.test_point_codes)
    assert classify(answer, blacklist.list_codes).verdict is Verdict.LISTED


def test_hostkarmas_white_yellow_and_brown_are_clean() -> None:
    (hostkarma,) = load_catalogue().select(["hostkarma.junkemailfilter.com"])
    for code in ("127.0.0.1", "127.0.0.3", "127.0.0.4", "127.0.0.5"):
        answer = Answer(NOW, "r", (IPv4Address(code),))
        assert classify(answer, hostkarma.list_codes).verdict is Verdict.CLEAN


@pytest.mark.parametrize("asked", ["dnsbl.sorbs.net", "spam.dnsbl.sorbs.net", "DNSBL.SORBS.NET.", "SORBS", "sorbs"])
def test_sorbs_is_refused_by_name_with_the_reason(asked: str) -> None:
    with pytest.raises(RetiredZone, match=r"SORBS.*retired on 5 June 2024"):
        load_catalogue().select(["zen.spamhaus.org", asked])


@pytest.mark.parametrize("zone", [one.zone for one in load_catalogue().retired])
def test_every_retired_list_is_refused(zone: str) -> None:
    with pytest.raises(RetiredZone):
        load_catalogue().select([zone])


def test_an_unknown_list_is_refused_with_the_nearest_ones() -> None:
    with pytest.raises(UnknownZone, match=r"zen\.spamhause\.org.*Did you mean zen\.spamhaus\.org"):
        load_catalogue().select(["zen.spamhause.org"])


def test_a_list_that_needs_a_key_is_refused_with_what_it_needs() -> None:
    with pytest.raises(CatalogueError, match=r"Abusix.*PENGUIN_BLACKLIST_KEYS to abusix=.*account"):
        load_catalogue().select(["Abusix combined"])


def test_a_list_that_needs_a_key_is_swept_as_soon_as_there_is_one() -> None:
    found = {one.zone: one for one in load_catalogue().select(keys={"abusix": KEY})}
    abusix = found["combined.mail.abusix.zone"]
    assert abusix.query_zone == "hush4711.combined.mail.abusix.zone"
    assert abusix.budget_per_day == 5000
    assert "combined.mail.abusix.zone" not in {one.zone for one in load_catalogue().select()}


def test_spamhaus_with_a_key_is_asked_at_its_paid_service_and_without_the_public_ones_terms() -> None:
    (public,) = load_catalogue().select(["zen.spamhaus.org"])
    (paid,) = load_catalogue().select(["zen.spamhaus.org"], keys={"spamhaus": KEY})
    assert (public.query_zone, public.budget_per_day) == ("zen.spamhaus.org", 300_000)
    assert (paid.zone, paid.query_zone) == ("zen.spamhaus.org", "hush4711.zen.dq.spamhaus.net")
    assert (paid.budget_per_day, paid.terms) == (None, None)


def test_keyed_lists_take_the_place_of_the_public_one_that_they_stand_for() -> None:
    zones = {one.zone for one in load_catalogue().select(keys={"spamrats": KEY})}
    assert {"spam.spamrats.com", "dyna.spamrats.com", "noptr.spamrats.com"} <= zones
    assert "all.spamrats.com" not in zones
    assert "all.spamrats.com" in {one.zone for one in load_catalogue().select()}


def test_a_key_is_shown_nowhere_but_in_the_name_that_is_asked() -> None:
    for one in load_catalogue().with_keys(dict.fromkeys(["spamhaus", "abusix", "spamrats"], KEY)):
        assert "hush4711" not in repr(one)
        assert "hush4711" not in str(one)
        assert "hush4711" not in f"{one.zone} {one.keyed_zone} {one.key} {one.needs} {one.why_off}"


def test_a_key_for_an_operator_whose_lists_take_none_is_refused_without_showing_either() -> None:
    with pytest.raises(CatalogueError, match=r"key 2 is for an operator.*abusix, spamhaus, spamrats") as refused:
        load_catalogue().select(keys={"spamhaus": KEY, "hush4711": SecretStr("spamhaus")})
    assert "hush" not in str(refused.value)


def test_a_list_that_only_its_subscribers_can_name_says_how_it_comes_in() -> None:
    with pytest.raises(UnknownZone, match="PENGUIN_BLACKLIST_FILE"):
        load_catalogue().select(["invaluement"])


def test_lists_are_found_by_zone_or_name_and_asked_once() -> None:
    chosen = load_catalogue().select(["bl.spamcop.net", "SpamCop SCBL", "truncate.gbudb.net"])
    assert [one.zone for one in chosen] == ["bl.spamcop.net", "truncate.gbudb.net"]


def test_a_delisting_page_is_about_the_address_where_the_operator_has_such() -> None:
    zen, level_2 = load_catalogue().select(["zen.spamhaus.org", "dnsbl-2.uceprotect.net"])
    assert zen.delist_url("192.0.2.7") == "https://check.spamhaus.org/query/ip/192.0.2.7"
    assert level_2.delist_url("192.0.2.7") is None


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (('severity = "low"', 'severity = "awful"'), "bl.test: codes: 0: severity: "),
        (('code = "127.0.0.2"', 'code = "127.0.0.1"'), "bl.test: codes: 127.0.0.1 can never be a listing"),
        (('code = "127.0.0.2"', 'code = "127.255.255.254"'), "bl.test: codes: "),
        (('code = "127.0.0.2"', 'code = "10.0.0.2"'), "bl.test: codes: "),
        (('evidence = "none"\n', ""), "bl.test: evidence: "),
        (('evidence = "none"', 'evidence = "none"\ncolour = "red"'), "bl.test: colour: "),
        (('evidence = "none"', 'evidence = "none"\ndelist_url = "https://x.test/{adress}"'), "bl.test: delist_url: "),
        (('evidence = "none"', 'evidence = "none"\ndelist_url = "x.test"'), "bl.test: delist_url: "),
        (('evidence = "none"', 'evidence = "none"\nneeds_key = true'), "bl.test: keyed_zone: "),
        (('evidence = "none"', 'evidence = "none"\nkeyed_zone = "hush.bl.test"'), "bl.test: keyed_zone: "),
        (('evidence = "none"', 'evidence = "none"\nkeyed_zone = "{me}.bl.test"'), "bl.test: keyed_zone: "),
        (('evidence = "none"', 'evidence = "none"\nkey = "hush"'), "bl.test: key: stands in PENGUIN_BLACKLIST_KEYS"),
        (('zone = "bl.test"', 'zone = "{key}.bl.test"'), "{key}.bl.test: zone: "),
        (('zone = "bl.test"', 'zone = "BL.test"'), "BL.test: zone: "),
        (('evidence = "none"', 'evidence = "none"\nipv6_prefix = 129'), "bl.test: ipv6_prefix: "),
        (('evidence = "none"', 'evidence = "none"\ntest_codes = ["127.0.0.9"]'), "bl.test: test_codes: "),
        (('evidence = "none"', 'evidence = "none"\nerrors."127.0.0.2" = "x"'), "bl.test: codes: 127.0.0.2 stands"),
        (('evidence = "none"', 'evidence = "none"\nbudget_per_day = 0'), "bl.test: budget_per_day: "),
        (('"low" }]', '"low" }]\nscope = "planet"'), "bl.test: scope: "),
        (
            ('severity = "low" }]', 'severity = "high" }]\nscope = "range"'),
            "bl.test: codes: 127.0.0.2 of a list of ranges",
        ),
        (('codes = [{ code = "127.0.0.2", meaning = "listed", severity = "low" }]', "codes = []"), "bl.test: codes: "),
        (("[[lists]]", "[[lists"), "not TOML"),
    ],
)
def test_a_wrong_catalogue_is_told_zone_and_field(change: tuple[str, str], complaint: str) -> None:
    parse_catalogue(GOOD)
    wrong = GOOD.replace(*change)
    assert wrong != GOOD
    with pytest.raises(CatalogueError) as caught:
        parse_catalogue(wrong)
    assert complaint in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_zone_that_stands_twice_is_named() -> None:
    with pytest.raises(CatalogueError, match=r"bl\.test: zone: stands there twice"):
        parse_catalogue(GOOD + GOOD)


@pytest.fixture
def own_file(tmp_path: Path) -> Path:
    return tmp_path / "lists.toml"


def test_a_file_of_the_users_adds_lists_behind_the_shipped_ones(own_file: Path) -> None:
    own_file.write_text(GOOD)
    zones = [one.zone for one in load_catalogue(own_file).select()]
    assert zones == [*(one.zone for one in load_catalogue().select()), "bl.test"]


def test_a_file_of_the_users_takes_the_place_of_the_shipped_list_of_the_same_zone(own_file: Path) -> None:
    own_file.write_text(GOOD.replace("bl.test", "bl.spamcop.net"))
    (spamcop,) = load_catalogue(own_file).select(["bl.spamcop.net"])
    assert spamcop.operator == "Nobody"
    assert len(load_catalogue(own_file).lists) == len(load_catalogue().lists)


def test_what_the_user_retires_is_refused_with_the_users_reason(own_file: Path) -> None:
    own_file.write_text('[[retired]]\nzone = "uceprotect.net"\nname = "UCEPROTECT"\nreason = "is not for us"\n')
    catalogue = load_catalogue(own_file)
    assert not any("uceprotect" in one.zone for one in catalogue.select())
    with pytest.raises(RetiredZone, match="is not for us"):
        catalogue.select(["dnsbl-1.uceprotect.net"])


def test_a_subscription_comes_by_the_users_file_with_its_key_from_the_settings(own_file: Path) -> None:
    keyed = 'operator = "invaluement"\nneeds_key = true\nkeyed_zone = "{key}.sip.test"'
    own_file.write_text(GOOD.replace('operator = "Nobody"', keyed))
    (paid,) = load_catalogue(own_file).select(["bl.test"], keys={"invaluement": KEY})
    assert paid.query_zone == "hush4711.sip.test"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GOOD.replace('evidence = "none"\n', ""), "bl.test: evidence: "),
        (GOOD.replace("bl.test", "spam.dnsbl.sorbs.net"), "spam.dnsbl.sorbs.net: zone: SORBS"),
        ("[[lists]", "not TOML"),
        ('lists = ["bl.test"]', "lists[0]: "),
    ],
)
def test_a_fault_of_the_users_file_names_the_file(own_file: Path, text: str, complaint: str) -> None:
    own_file.write_text(text)
    with pytest.raises(CatalogueError) as refused:
        load_catalogue(own_file)
    assert str(refused.value).startswith(f"{own_file}: ")
    assert complaint in str(refused.value)


def test_a_file_of_the_users_that_is_missing_is_named_with_its_setting(own_file: Path) -> None:
    with pytest.raises(CatalogueError, match=r"PENGUIN_BLACKLIST_FILE: cannot read .*lists\.toml"):
        load_catalogue(own_file)
