"""The commands of the lab's DNS and `check-ip`, as they are typed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from penguin_infra.cli.check_ip import check_ip
from penguin_infra.cli.lab_dns import app as lab
from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra.lab.dns_zones import Fault
from penguin_infra.settings import settings
from penguin_infra_tests.dns_process import DnsProcess, free_port, running_dns

check = typer.Typer()
check.command()(check_ip)

Run = Callable[..., Result]


@pytest.fixture
def run(
    lab_dns: DnsProcess, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    monkeypatch.setenv("PENGUIN_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("PENGUIN_RESOLVERS", str(lab_dns.resolver))
    monkeypatch.setenv("PENGUIN_LAB_DNS_PORT", str(lab_dns.port))
    for name in ("PENGUIN_POLICY_FILE", "PENGUIN_BLACKLIST_FILE", "PENGUIN_BLACKLIST_KEYS"):
        monkeypatch.delenv(name, raising=False)
    settings.cache_clear()
    yield lambda command, *arguments: CliRunner().invoke(command, list(arguments))
    settings.cache_clear()


def test_an_address_that_is_listed_in_the_lab_is_seen_but_not_confirmed(run: Run) -> None:
    listed = run(lab, "list-ip", "10.3.0.1")
    assert listed.exit_code == 0
    assert "SBL" in listed.stdout
    assert "confirms" in listed.stdout
    seen = run(check, "10.3.0.1")
    assert seen.exit_code == 1
    for word in ("listed", "critical", "SBL", "https://check.spamhaus.org/query/ip/10.3.0.1", "Seen, not confirmed"):
        assert word in seen.stdout
    assert run(lab, "delist-ip", "10.3.0.1").exit_code == 0
    assert run(check, "10.3.0.1").exit_code == 0


def test_scripts_get_json(run: Run) -> None:
    run(lab, "list-ip", "10.3.0.2", "--zone", "bl.spamcop.net")
    seen = run(check, "10.3.0.2", "--json", "--zone", "bl.spamcop.net", "--zone", "zen.spamhaus.org")
    report = json.loads(seen.stdout)
    assert (seen.exit_code, report["address"], report["is_confirmed"]) == (1, "10.3.0.2", False)
    assert {one["zone"]: one["verdict"] for one in report["observations"]} == {
        "bl.spamcop.net": "listed",
        "zen.spamhaus.org": "clean",
    }


def test_every_look_is_told_as_it_comes_before_the_table(run: Run) -> None:
    run(lab, "list-ip", "10.3.0.12", "--zone", "bl.spamcop.net")
    shown = run(check, "10.3.0.12").stdout
    streamed, table = shown.split("┏", 1)
    verdicts = {line.split(maxsplit=1)[1].strip(): line.split()[0] for line in streamed.splitlines() if line.strip()}
    assert verdicts["SpamCop SCBL"] == "listed"
    assert verdicts["Spamhaus ZEN"] == "clean"
    assert len(verdicts) == len(load_catalogue().select())
    assert "SpamCop SCBL" in table


def test_an_ipv6_address_is_asked_of_the_lists_that_hold_such(run: Run) -> None:
    seen = run(check, "2001:db8::7", "--json")
    assert seen.exit_code == 0
    holding = {one.zone for one in load_catalogue().select() if one.ipv6}
    assert {one["zone"] for one in json.loads(seen.stdout)["observations"]} == holding


def test_scripts_may_read_each_look_as_it_comes(run: Run) -> None:
    run(lab, "list-ip", "10.3.0.13", "--zone", "bl.spamcop.net")
    zones = ("--zone", "bl.spamcop.net", "--zone", "zen.spamhaus.org")
    seen = run(check, "10.3.0.13", "--jsonl", *zones)
    rows = [json.loads(line) for line in seen.stdout.splitlines()]
    assert {row["zone"]: row["verdict"] for row in rows} == {"bl.spamcop.net": "listed", "zen.spamhaus.org": "clean"}
    assert seen.exit_code == 1
    assert run(check, "10.3.0.13", "--jsonl", "--json").exit_code == 2


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_public_resolver_is_said_beside_the_result_with_what_helps(
    run: Run, lab_dns: DnsProcess, form: tuple[str, ...]
) -> None:
    with lab_dns.broken("zen.spamhaus.org", Fault.OPEN_RESOLVER):
        seen = run(check, "10.3.0.14", "--zone", "zen.spamhaus.org", *form)
    assert seen.exit_code == 3
    for words in ("127.255.255.254", "public resolver", "deploy/unbound", "PENGUIN_RESOLVERS"):
        assert words in seen.stderr
    assert "deploy/unbound" not in seen.stdout


def test_a_refusal_says_what_the_lists_operator_asks_for(run: Run, lab_dns: DnsProcess) -> None:
    with lab_dns.broken("b.barracudacentral.org", Fault.REFUSED):
        seen = run(check, "10.3.0.15", "--zone", "b.barracudacentral.org")
    assert "must be registered with Barracuda" in seen.stderr


def test_a_key_is_part_of_no_output_even_where_its_list_refuses(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENGUIN_BLACKLIST_KEYS", "spamhaus=hush4711")
    settings.cache_clear()
    for form in ((), ("--json",), ("--jsonl",)):
        seen = run(check, "10.3.0.16", "--zone", "zen.spamhaus.org", *form)
        # The lab knows nothing of the paid service's zone.
        assert (seen.exit_code, "REFUSED" in seen.output) == (3, True)
        assert "hush4711" not in seen.output
        assert "hush4711" not in seen.stderr


def test_a_list_that_cannot_be_asked_is_shown_and_the_others_decide(run: Run, lab_dns: DnsProcess) -> None:
    with lab_dns.broken("bl.spamcop.net", Fault.REFUSED):
        seen = run(check, "10.3.0.3")
    assert seen.exit_code == 0
    assert "REFUSED" in seen.stdout
    assert "neither good nor bad" in seen.stdout


def test_a_hit_on_a_wildcarded_list_is_no_listing(run: Run, lab_dns: DnsProcess) -> None:
    with lab_dns.broken("bl.spamcop.net", Fault.WILDCARD):
        assert run(check, "10.3.0.4", "--zone", "bl.spamcop.net").exit_code == 3


def test_no_answer_from_anybody_has_an_exit_code_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENGUIN_RESOLVERS", f"127.0.0.1:{free_port()}")
    settings.cache_clear()
    seen = run(check, "10.3.0.5")
    assert seen.exit_code == 3
    assert "cannot be reached" in seen.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["10.3.0"], "not an IP address"),
        (["10.3.0.6", "--zone", "dnsbl.sorbs.net"], "retired on 5 June 2024"),
        (["10.3.0.6", "--zone", "bl.spamcop.com"], "bl.spamcop.net"),
        (["2001:db8::6", "--zone", "psbl.surriel.com"], "IPv6"),
    ],
)
def test_wrong_usage_of_check_ip_says_what_is_wrong(run: Run, arguments: list[str], complaint: str) -> None:
    seen = run(check, *arguments)
    assert seen.exit_code == 2
    assert complaint in seen.stderr


def test_a_wrong_resolver_names_its_setting(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENGUIN_RESOLVERS", "ns.example:53")
    settings.cache_clear()
    seen = run(check, "10.3.0.6")
    assert seen.exit_code == 2
    assert "PENGUIN_RESOLVERS" in seen.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["list-ip", "10.3"], "not an IP address"),
        (["list-ip", "127.0.0.2"], "test point"),
        (["list-ip", "10.3.0.7", "--zone", "zen.spamhaus.net"], "zen.spamhaus.org"),
        (["list-ip", "10.3.0.7", "--zone", "truncate.gbudb.net"], "does not serve"),
        (["list-ip", "10.3.0.7", "--zone", "Abusix combined"], "needs a key"),
        (["list-ip", "10.3.0.7", "--code", "127.0.0.99"], "127.0.0.4 XBL"),
        (["break-list", "bl.spamcop.net", "sulk"], "wildcard"),
    ],
)
def test_wrong_usage_of_the_lab_says_what_exists(run: Run, arguments: list[str], complaint: str) -> None:
    done = run(lab, *arguments)
    assert done.exit_code == 2
    assert complaint in done.stderr


def test_listings_shows_what_is_listed_and_what_is_broken(run: Run) -> None:
    run(lab, "list-ip", "10.3.0.8", "--zone", "Mailspike BL", "--code", "127.0.0.11", "--reason", "wave [of spam]")
    broken = run(lab, "break-list", "psbl.surriel.com", "servfail")
    shown = run(lab, "listings")
    assert "quarantined" in broken.stdout
    for words in ("10.3.0.8", "bl.mailspike.net", "127.0.0.11", "wave [of spam]", "psbl.surriel.com is made to fail"):
        assert words in shown.stdout
    assert run(lab, "break-list", "psbl.surriel.com", "none").exit_code == 0
    assert "made to fail" not in run(lab, "listings").stdout


def test_the_lab_serves_what_the_policy_enables_and_what_the_users_file_adds(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.toml").write_text('[blacklists]\nzones = ["SEM-BLACK"]\n')
    (tmp_path / "lists.toml").write_text(
        """
        [[lists]]
        zone = "bl.test"
        name = "Test list"
        operator = "Nobody"
        codes = [{ code = "127.0.0.2", meaning = "listed", severity = "low" }]
        evidence = "none"
        checked_on = 2026-11-24
        """
    )
    monkeypatch.setenv("PENGUIN_POLICY_FILE", str(tmp_path / "policy.toml"))
    monkeypatch.setenv("PENGUIN_BLACKLIST_FILE", str(tmp_path / "lists.toml"))
    settings.cache_clear()
    (tmp_path / "dns").mkdir()
    with running_dns(tmp_path / "dns") as dns:
        monkeypatch.setenv("PENGUIN_LAB_DNS_PORT", str(dns.port))
        monkeypatch.setenv("PENGUIN_RESOLVERS", str(dns.resolver))
        settings.cache_clear()
        for zone in ("bl.spameatingmonkey.net", "bl.test", "zen.spamhaus.org"):
            assert run(lab, "list-ip", "10.3.0.11", "--zone", zone).exit_code == 0
            assert run(check, "10.3.0.11", "--zone", zone).exit_code == 1


def test_delisting_takes_an_address_off_every_list_or_the_one_that_is_named(run: Run) -> None:
    for zone in ("zen.spamhaus.org", "bl.spamcop.net", "psbl.surriel.com"):
        run(lab, "list-ip", "10.3.0.9", "--zone", zone)
    assert "zen.spamhaus.org" in run(lab, "delist-ip", "10.3.0.9", "--zone", "zen.spamhaus.org").stdout
    off = run(lab, "delist-ip", "10.3.0.9").stdout
    assert "bl.spamcop.net, psbl.surriel.com" in off
    assert "nothing to do" in run(lab, "delist-ip", "10.3.0.9").stdout


def test_a_lab_that_does_not_run_is_named_with_its_port(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("PENGUIN_LAB_DNS_PORT", str(port))
    settings.cache_clear()
    done = run(lab, "list-ip", "10.3.0.10")
    assert done.exit_code == 2
    assert str(port) in done.stderr
    assert "penguin-infra up" in done.stderr
