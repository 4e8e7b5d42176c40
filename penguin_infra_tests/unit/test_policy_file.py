"""The policy file: what it may change, and how each fault is named."""

from dataclasses import replace
from pathlib import Path

import pytest

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.guardrails import GuardrailLimits, Mode
from penguin_infra.domain.heartbeat import SilenceLimits
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits
from penguin_infra.policy_file import Policy, PolicyFileError, read_policy


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
