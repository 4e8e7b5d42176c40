"""How a lab node behaves: how much it sends, how its mails end, and the scenarios that change that."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Scenario(StrEnum):
    """What can be made to happen to a node."""

    SILENCE = "silence"  # the agent stops speaking, the node goes on
    MTA_DOWN = "mta-down"  # the node speaks, its mail server does not run
    BOUNCE_STORM = "bounce-storm"  # a bad list: most mails bounce hard
    COMPLAINTS = "complaints"  # recipients call its mails spam
    FLOOD = "flood"  # far more mail than the node can send: its own CPU is the limit
    DEFERRALS = "deferrals"  # remote hosts put most of its mail off: no fault of the node's own
    CALM = "calm"  # everything as usual


@dataclass(frozen=True, slots=True)
class Mood:
    """One node's behaviour. Shares are of the messages that end; `queue_per_minute` is what piles up.

    What piles up `is_put_off` by remote hosts, or waits for the node itself. `cpu_percent` None: as busy as its mail.
    """

    messages_per_minute: float = 12.0
    hard_bounce_share: float = 0.012
    soft_bounce_share: float = 0.006
    policy_share: float = 0.002
    deferral_share: float = 0.03
    complaints_per_minute: float = 0.0
    queue_per_minute: float = 0.0
    is_put_off: bool = False
    cpu_percent: float | None = None
    is_silent: bool = False
    is_mta_down: bool = False


USUAL = Mood()


def mood_of(scenario: Scenario) -> Mood:
    """The behaviour that a scenario means. Strong, so that a person who watches sees its effect in minutes."""
    changes: dict[Scenario, Mood] = {
        Scenario.SILENCE: replace(USUAL, is_silent=True),
        Scenario.MTA_DOWN: replace(USUAL, is_mta_down=True, messages_per_minute=0),
        # Enough volume that the lower bound of the rate passes the limit within two minutes.
        Scenario.BOUNCE_STORM: replace(USUAL, messages_per_minute=600, hard_bounce_share=0.5),
        Scenario.COMPLAINTS: replace(USUAL, messages_per_minute=600, complaints_per_minute=30),
        # It delivers no more than usual, so that no warm-up's allowance is used up and takes the blame.
        Scenario.FLOOD: replace(USUAL, queue_per_minute=2_000, cpu_percent=97),
        Scenario.DEFERRALS: replace(USUAL, queue_per_minute=2_000, is_put_off=True, deferral_share=0.9),
        Scenario.CALM: USUAL,
    }
    return changes[scenario]
