"""The policy file: what it may change, and how each fault is named."""

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.guardrails import GuardrailLimits, Mode
from penguin_infra.domain.heartbeat import SilenceLimits
from penguin_infra.domain.list_budget import BudgetLimits
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits
from penguin_infra.policy import Policy
from penguin_infra.policy_file import PolicyFileError, read_policy


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    return tmp_path / "policy.toml"


def refusal(path: Path) -> str:
    with pytest.raises(PolicyFileError) as refused:
        read_policy(path)
    return str(refused.value)


def test_without_a_file_every_limit_is_the_rules_own() -> None:
    assert read_policy(None) == Policy()


def test_an_empty_file_changes_nothing(policy_file: Path) -> None:
    policy_file.write_text("")
    assert read_policy(policy_file) == Policy()


def test_a_file_changes_what_it_names_and_nothing_else(policy_file: Path) -> None:
    policy_file.write_text("[guardrails]\ndisruption_share_per_hour = 0.25\n")
    default = Policy()
    changed = replace(default.guardrails, disruption_share_per_hour=0.25)
    assert read_policy(policy_file) == replace(default, guardrails=changed)


def test_every_limit_can_be_set(policy_file: Path) -> None:
    policy_file.write_text(
        """
        [guardrails]
        disruption_share_per_hour = 0.5
        cool_down_minutes = 1
        smallest_rotation_share = 0.75
        rejection_rest_hours = 2.5
        approve = ["decommission", "reinstall"]
        observe = ["pause"]
        [retry]
        max_attempts = 5
        rest_seconds = [1, 2]
        [provisioning]
        address_timeout_minutes = 2.5
        poll_seconds = 0.5
        [blacklists]
        zones = ["zen.spamhaus.org"]
        clean_answers_to_delist = 2
        clean_span_seconds = 60
        default_budget_per_day = 50000
        longest_interval_hours = 6.5
        [blacklists.budgets]
        "zen.spamhaus.org" = 300000
        "bl.spamcop.net" = 1000000
        [delivery]
        bounce_alert_rate = 0.01
        bounce_pause_rate = 0.02
        complaint_alert_rate = 0.003
        complaint_pause_rate = 0.004
        policy_rejection_alert_rate = 0.05
        minimum_attempted = 6
        complaint_minimum_sent = 7
        window_messages = 8
        minimum_pause_hours = 0.5
        [health]
        most_silent_share = 0.5
        fewest_silent = 5
        directive_timeout_seconds = 1.5
        reboot_timeout_seconds = 2.5
        poll_seconds = 0.25
        falls_to_maintenance = 4
        rest_minutes = 7
        most_at_once = 2
        """
    )
    policy = read_policy(policy_file)
    assert policy.guardrails == GuardrailLimits(
        disruption_share_per_hour=0.5,
        cool_down_minutes=1,
        smallest_rotation_share=0.75,
        rejection_rest_hours=2.5,
        approve=frozenset({ActionKind.DECOMMISSION, ActionKind.REINSTALL}),
        observe=frozenset({ActionKind.PAUSE}),
    )
    assert (policy.retry.max_attempts, policy.retry.rest_seconds) == (5, (1, 2))
    assert (policy.provisioning.address_timeout_minutes, policy.provisioning.poll_seconds) == (2.5, 0.5)
    assert policy.provisioning.retry == policy.retry
    assert (policy.listing.clean_answers_to_delist, policy.listing.clean_span_seconds) == (2, 60)
    assert policy.blacklist_zones == ("zen.spamhaus.org",)
    assert policy.budgets == BudgetLimits(50_000, 6.5, {"zen.spamhaus.org": 300_000, "bl.spamcop.net": 1_000_000})
    assert policy.delivery == DeliveryLimits(0.01, 0.02, 0.003, 0.004, 0.05, 6, 7, 8, 0.5)
    assert policy.health == HealthLimits(
        silence=SilenceLimits(most_silent_share=0.5, fewest_silent=5),
        directive_timeout_seconds=1.5,
        reboot_timeout_seconds=2.5,
        poll_seconds=0.25,
        falls_to_maintenance=4,
        rest_minutes=7,
        most_at_once=2,
    )


def test_a_kind_that_waits_by_default_may_be_observed_instead(policy_file: Path) -> None:
    policy_file.write_text('[guardrails]\nobserve = ["decommission"]\n')
    assert read_policy(policy_file).guardrails.mode_of(ActionKind.DECOMMISSION) is Mode.OBSERVE


def test_an_empty_list_lets_the_fleet_act_by_itself(policy_file: Path) -> None:
    policy_file.write_text("[guardrails]\napprove = []\n")
    assert read_policy(policy_file).guardrails.mode_of(ActionKind.DECOMMISSION) is Mode.ACT


@pytest.mark.parametrize(
    ("text", "field", "complaint"),
    [
        ("[guardrails]\nbudget = 3", "guardrails.budget", "not permitted"),
        ("[brakes]\nbudget = 3", "brakes", "not permitted"),
        ('[guardrails]\ncool_down_minutes = "ten"', "guardrails.cool_down_minutes", "valid integer"),
        ("[guardrails]\ndisruption_share_per_hour = 1.1", "guardrails.disruption_share_per_hour", "less than or equal"),
        ("[guardrails]\ndisruption_share_per_hour = nan", "guardrails.disruption_share_per_hour", "finite"),
        ('[guardrails]\nobserve = ["sleep"]', "guardrails.observe.0", "'pause'"),
        ("[guardrails]\napprove = true", "guardrails.approve", "valid tuple"),
        ('[guardrails]\napprove = ["pause"]\nobserve = ["pause"]', "guardrails", "pause cannot be in approve and in"),
        ("[guardrails]\nsmallest_rotation_share = 2", "guardrails.smallest_rotation_share", "less than or equal to 1"),
        ("[provisioning]\naddress_timeout_minutes = inf", "provisioning.address_timeout_minutes", "finite"),
        ("[retry]\nmax_attempts = 0", "retry.max_attempts", "greater than or equal to 1"),
        ("[retry]\nrest_seconds = [60, -1]", "retry.rest_seconds.1", "greater than or equal to 0"),
        ("[health]\nmost_silent_share = 0", "health.most_silent_share", "greater than 0"),
        ('[blacklists]\nzones = "zen.spamhaus.org"', "blacklists.zones", "valid tuple"),
        ("[blacklists]\nzones = []", "blacklists.zones", "at least 1 item"),
        ("[blacklists]\nlongest_interval_hours = 0", "blacklists.longest_interval_hours", "greater than 0"),
        ("[blacklists]\ndefault_budget_per_day = 0", "blacklists.default_budget_per_day", "greater than 0"),
        ('[blacklists.budgets]\n"bl.spamcop.net" = 0', "blacklists.budgets.bl.spamcop.net", "greater than 0"),
        ("[blacklists.budgets]\nbl.spamcop.net = 5", "blacklists.budgets", "a zone stands in quotes"),
        ('[blacklists.budgets]\n"bl.spamcop.com" = 5', "blacklists.budgets", "Did you mean bl.spamcop.net"),
        ('[blacklists.budgets]\n"dnsbl.sorbs.net" = 5', "blacklists.budgets", "retired on 5 June 2024"),
        ('[blacklists.budgets]\n"SpamCop SCBL" = 5', "blacklists.budgets", "write bl.spamcop.net"),
        ("[delivery]\nbounce_pause_rate = 10", "delivery.bounce_pause_rate", "less than or equal to 1"),
        ("[delivery]\nminimum_attempted = 0", "delivery.minimum_attempted", "greater than or equal to 1"),
        ("[delivery]\nminimum_pause_hours = inf", "delivery.minimum_pause_hours", "finite"),
        ("guardrails = 3", "guardrails", "valid dictionary"),
    ],
)
def test_a_fault_names_the_file_and_the_field(policy_file: Path, text: str, field: str, complaint: str) -> None:
    policy_file.write_text(text)
    (line,) = refusal(policy_file).splitlines()
    assert line.startswith(f"{policy_file}: {field}: ")
    assert complaint in line


def test_every_fault_is_named_at_once(policy_file: Path) -> None:
    policy_file.write_text("[retry]\nmax_attempts = 0\n[provisioning]\npoll_seconds = 0\n")
    lines = refusal(policy_file).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["retry.max_attempts", "provisioning.poll_seconds"]


def test_what_is_not_toml_is_named_with_the_place(policy_file: Path) -> None:
    policy_file.write_text("[guardrails\n")
    message = refusal(policy_file)
    assert message.startswith(f"{policy_file}: not TOML: ")
    assert "line 1" in message


def test_a_file_that_is_missing_is_named_with_its_setting(policy_file: Path) -> None:
    assert refusal(policy_file).startswith(f"PENGUIN_POLICY_FILE: cannot read {policy_file}: ")


def test_a_file_that_is_no_text_is_named_with_its_setting(policy_file: Path) -> None:
    policy_file.write_bytes(b"\xff\xfe")
    assert refusal(policy_file).startswith(f"PENGUIN_POLICY_FILE: cannot read {policy_file}: ")


@pytest.mark.parametrize(
    ("zone", "number", "words"),
    [
        ("zen.spamhaus.org", 300_001, "300,001 a day, but its terms allow 300,000 a day (Public mirrors"),
        ("bl.score.senderscore.com", 334, "334 a day, but its terms allow 10,000 in 30 days, 333 a day"),
    ],
)
def test_more_than_a_lists_terms_allow_is_refused_with_the_sum(
    policy_file: Path, zone: str, number: int, words: str
) -> None:
    policy_file.write_text(f'[blacklists.budgets]\n"{zone}" = {number}\n')
    assert refusal(policy_file).startswith(f"{policy_file}: blacklists.budgets: {zone}: {words}")
    policy_file.write_text(f'[blacklists.budgets]\n"{zone}" = {number - 1}\n')
    assert read_policy(policy_file).budgets.own == {zone: number - 1}


def test_with_a_key_the_public_services_terms_allow_and_forbid_nothing(policy_file: Path) -> None:
    policy_file.write_text('[blacklists.budgets]\n"zen.spamhaus.org" = 9000000\n')
    keys = {"spamhaus": SecretStr("hush4711")}
    assert read_policy(policy_file, blacklist_keys=keys).budgets.own == {"zen.spamhaus.org": 9_000_000}


def test_a_list_of_the_users_own_may_have_a_budget(policy_file: Path, tmp_path: Path) -> None:
    own = tmp_path / "lists.toml"
    own.write_text(
        """
        [[lists]]
        zone = "bl.test"
        name = "Test list"
        operator = "Nobody"
        codes = [{ code = "127.0.0.2", meaning = "listed", severity = "low" }]
        evidence = "none"
        checked_on = 2026-11-24
        budget_per_day = 10
        """
    )
    policy_file.write_text('[blacklists.budgets]\n"bl.test" = 11\n')
    with pytest.raises(PolicyFileError, match="its terms allow 10 a day"):
        read_policy(policy_file, blacklist_file=own)
