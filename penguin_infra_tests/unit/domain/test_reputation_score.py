"""A score keeps to its laws whatever the evidence: within its bounds, no better for worse facts, and slow to rise."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.reputation_evidence import Component, Evidence, ListingFact, points_lost
from penguin_infra.domain.reputation_score import ReputationLimits, Standing, score_node, target_of
from penguin_infra.domain.reputation_words import explain

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LIMITS = ReputationLimits()
C = Component

few = st.integers(0, 30) | st.integers(0, 5_000)
mails = st.builds(
    DeliveryFacts,
    sent=st.integers(0, 200) | st.integers(0, 200_000),
    hard_bounces=few,
    soft_bounces=few,
    policy_rejections=few,
    expired=few,
    deferrals=few,
    complaints=few,
)
listings = st.builds(
    ListingFact,
    zone=st.sampled_from(["zen.spamhaus.org", "bl.spamcop.net", "b.barracudacentral.org"]),
    severity=st.sampled_from(Severity),
    operator=st.none() | st.sampled_from(["Spamhaus", "Cisco", "Barracuda"]),
    is_believed=st.booleans(),
)
former_points = st.dictionaries(st.sampled_from(Component), st.integers(0, 90))
evidences = st.builds(
    Evidence,
    listings=st.lists(listings, max_size=4).map(tuple),
    delivery=st.none() | mails,
    former_points=former_points,
    health=st.sampled_from(Health),
    proven_share=st.floats(0, 1),
)


def target(evidence: Evidence) -> int:
    return target_of(points_lost(evidence))


@given(evidences, st.none() | st.integers(0, 100), st.integers(-5, 40))
def test_a_score_stays_between_nought_and_a_hundred_and_below_what_its_evidence_allows(
    evidence: Evidence, former: int | None, days: int
) -> None:
    standing = None if former is None else Standing(former, NOW - timedelta(days=days))
    scored = score_node(evidence, standing, NOW, LIMITS)
    assert 0 <= scored.score <= scored.target <= scored.cap <= 100
    assert explain(scored, evidence, LIMITS).endswith(".")


def worse_mail(change: Callable[[DeliveryFacts], DeliveryFacts]) -> Callable[[Evidence], Evidence | None]:
    """The evidence with one message of another fate; None where there is none to change."""

    def changed(evidence: Evidence) -> Evidence | None:
        # Complaints about mail of before the span may be more than all it sent: then there is no rate of them.
        if evidence.delivery is None or evidence.delivery.sent <= evidence.delivery.complaints:
            return None
        return replace(evidence, delivery=change(evidence.delivery))

    return changed


@pytest.mark.parametrize(
    "worsen",
    [
        pytest.param(
            worse_mail(lambda mail: replace(mail, sent=mail.sent - 1, hard_bounces=mail.hard_bounces + 1)), id="bounce"
        ),
        pytest.param(
            worse_mail(lambda mail: replace(mail, sent=mail.sent - 1, policy_rejections=mail.policy_rejections + 1)),
            id="rejection",
        ),
        pytest.param(worse_mail(lambda mail: replace(mail, deferrals=mail.deferrals + 1)), id="deferral"),
        pytest.param(worse_mail(lambda mail: replace(mail, complaints=mail.complaints + 1)), id="complaint"),
        pytest.param(lambda evidence: replace(evidence, health=Health.UNHEALTHY), id="ill"),
        pytest.param(lambda evidence: replace(evidence, proven_share=evidence.proven_share / 2), id="younger"),
        pytest.param(
            lambda evidence: replace(evidence, listings=(*evidence.listings, ListingFact("one.more", Severity.LOW))),
            id="listing",
        ),
        pytest.param(
            lambda evidence: replace(
                evidence, listings=tuple(replace(each, severity=Severity.CRITICAL) for each in evidence.listings)
            ),
            id="graver",
        ),
        pytest.param(
            lambda evidence: replace(
                evidence, listings=tuple(replace(each, is_believed=True) for each in evidence.listings)
            ),
            id="believed",
        ),
    ],
)
@given(evidence=evidences)
def test_worse_evidence_never_raises_the_target(
    worsen: Callable[[Evidence], Evidence | None], evidence: Evidence
) -> None:
    worse = worsen(evidence)
    assume(worse is not None)
    assert worse is not None
    assert target(worse) <= target(evidence)


@given(evidences, st.randoms(use_true_random=False))
def test_the_order_of_the_evidence_changes_nothing(evidence: Evidence, random: object) -> None:
    shuffled = list(evidence.listings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other = replace(evidence, listings=tuple(shuffled))
    assert points_lost(other) == points_lost(evidence)
    backwards = dict(reversed(points_lost(evidence).items()))
    assert target_of(backwards) == target(evidence)


@given(mails, st.integers(2, 50))
def test_the_same_rates_over_more_mail_never_take_less(mail: DeliveryFacts, times: int) -> None:
    more = DeliveryFacts(**{name: getattr(mail, name) * times for name in DeliveryFacts.__dataclass_fields__})
    assert target(Evidence(delivery=more)) <= target(Evidence(delivery=mail))


gaps = st.lists(st.floats(0.0001, 30), min_size=1, max_size=40)


@given(st.integers(0, 100), gaps, st.floats(0.1, 50))
def test_no_pace_of_looking_raises_a_score_faster_than_allowed_nor_much_slower(
    first: int, gaps_hours: list[float], points_a_day: float
) -> None:
    limits = ReputationLimits(points_a_day)
    at, standing = NOW, score_node(Evidence(), Standing(first), NOW, limits).standing
    for gap in gaps_hours:
        at += timedelta(hours=gap)
        standing = score_node(Evidence(), standing, at, limits).standing
    allowed = (at - NOW) / timedelta(days=1) * points_a_day
    assert standing.score - first <= allowed + 1e-6
    assert standing.score >= min(100, first + int(allowed - 1e-6))


def test_time_under_a_listing_earns_nothing() -> None:
    listed = Evidence(listings=(ListingFact("zen.spamhaus.org", Severity.CRITICAL),))
    standing = Standing(100)
    for day in range(30):
        standing = score_node(listed, standing, NOW + timedelta(days=day), LIMITS).standing
        assert standing.score == 10
    free = score_node(Evidence(), standing, NOW + timedelta(days=30), LIMITS)
    assert (free.score, free.target) == (10, 100)
    later = score_node(Evidence(), free.standing, NOW + timedelta(days=32), LIMITS)
    assert later.score == 20


def test_a_clock_that_was_set_back_gives_no_points() -> None:
    standing = Standing(40, NOW + timedelta(days=3))
    assert score_node(Evidence(), standing, NOW, LIMITS).score == 40


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        pytest.param(Evidence(), 100, id="nothing against it"),
        pytest.param(Evidence(listings=(ListingFact("zen.spamhaus.org", Severity.HIGH),)), 10, id="Spamhaus"),
        pytest.param(Evidence(listings=(ListingFact("zen.spamhaus.org", Severity.POLICY),)), 100, id="Spamhaus PBL"),
        pytest.param(Evidence(listings=(ListingFact("b.barracudacentral.org", Severity.HIGH),)), 40, id="high"),
        pytest.param(Evidence(listings=(ListingFact("x", Severity.CRITICAL, "X"),)), 20, id="critical"),
        pytest.param(Evidence(listings=(ListingFact("x", Severity.MEDIUM, "X"),)), 70, id="medium"),
        pytest.param(
            Evidence(listings=(ListingFact("x", Severity.MEDIUM, "X"), ListingFact("y", Severity.MEDIUM, "Y"))),
            40,
            id="two operators agree",
        ),
        pytest.param(
            Evidence(listings=(ListingFact("x", Severity.MEDIUM, "X"), ListingFact("y", Severity.MEDIUM, "X"))),
            70,
            id="one operator twice",
        ),
        pytest.param(Evidence(listings=(ListingFact("x", Severity.CRITICAL, "X", False),)), 100, id="a frozen list"),
        pytest.param(Evidence(proven_share=0), 60, id="a fresh address"),
        pytest.param(Evidence(proven_share=0.5), 80, id="half way"),
        pytest.param(Evidence(health=Health.UNHEALTHY), 85, id="ill"),
        pytest.param(Evidence(health=Health.UNKNOWN), 100, id="never heard"),
        pytest.param(Evidence(delivery=DeliveryFacts(sent=900, hard_bounces=100)), 54, id="10 % of 1,000 bounce"),
        pytest.param(Evidence(delivery=DeliveryFacts(sent=19, hard_bounces=1)), 100, id="1 of 20 bounces"),
        pytest.param(Evidence(delivery=DeliveryFacts(hard_bounces=3)), 100, id="3 of 3 bounce"),
        pytest.param(Evidence(delivery=DeliveryFacts(sent=100_000, complaints=300)), 46, id="0.3 % complain"),
        pytest.param(
            Evidence(delivery=None, former_points={"bounces": 30, "listings": 90, "health": 15}), 70, id="unmeasured"
        ),
    ],
)
def test_evidence_leads_to_this_target(evidence: Evidence, expected: int) -> None:
    assert target(evidence) == expected


def words(evidence: Evidence, former: int | None = None) -> str:
    standing = None if former is None else Standing(former)
    return explain(score_node(evidence, standing, NOW, LIMITS), evidence, LIMITS)


def test_the_words_name_what_limits_by_which_figures_and_what_raises_it() -> None:
    mail = DeliveryFacts(sent=900, hard_bounces=100)
    told = words(Evidence(delivery=mail, health=Health.UNHEALTHY))
    assert "Its evidence leaves 39: lost are 46 to hard bounces, 10.00% (100 of 1000; 95 %: 8.29% to 12.02%)" in told
    assert "15 to its health" in told
    assert "What raises it, to 100: hard bounces below 2.00%; heartbeats, and an MTA that runs." in told


def test_the_words_name_the_listings_and_what_their_end_would_leave() -> None:
    listed = (ListingFact("zen.spamhaus.org", Severity.CRITICAL), ListingFact("pbl.example", Severity.POLICY))
    told = words(Evidence(listings=listed, proven_share=0.5))
    assert told == (
        "Open listings allow 10 at most: zen.spamhaus.org (critical). What raises it: the end of the listing, to 80."
    )


def test_the_words_say_what_is_not_known() -> None:
    frozen = ListingFact("dead.example", Severity.CRITICAL, None, is_believed=False)
    told = words(Evidence(delivery=None, health=Health.UNKNOWN, listings=(frozen,)))
    assert "was not measured in the last 10 minutes: what was known before counts on" in told
    assert "Its health is not known, and counts nothing." in told
    assert "Listings by dead.example count nothing while that list is frozen." in told


def test_the_words_say_how_far_a_score_has_still_to_rise() -> None:
    assert "It is at 30, and rises by 5 points a day to 100." in words(Evidence(), former=30)
    fresh = words(Evidence(proven_share=0.25))
    assert fresh.startswith("25% of its warm-up is behind it: an address that has proven no more has 70 at most.")
    assert fresh.endswith("What raises it: each stage of its warm-up, to 100 in the end.")


GUIDE = Path(__file__).parents[3] / "docs" / "reputation.md"


def test_the_guides_example_and_caps_are_what_the_rules_say() -> None:
    guide = " ".join(GUIDE.read_text().replace("> ", "").split())
    mail = DeliveryFacts(sent=7_500, hard_bounces=450, policy_rejections=50, deferrals=2_000, complaints=4)
    assert words(Evidence(delivery=mail, proven_share=0.75), former=100) in guide
    for listing, told in {
        ListingFact("zen.spamhaus.org", Severity.HIGH): "(SBL, XBL, CSS, DROP)",
        ListingFact("x", Severity.CRITICAL): "critical",
        ListingFact("x", Severity.HIGH): "high, or medium ones of two operators",
        ListingFact("x", Severity.MEDIUM): "medium",
        ListingFact("x", Severity.LOW): "low",
    }.items():
        assert f"{told} | {listing.cap} |" in guide
