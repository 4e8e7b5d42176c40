"""What a blacklist may be asked: its terms, the operator's own limit, and how often its turn comes within them.

Sums only. The bucket that spreads the questions over the day is `list_pace.py`'s; what was asked is the store's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil, inf

# Where an operator publishes no number: what Mailspike and SEM allow, the smallest of the large public lists.
DEFAULT_PER_DAY = 100_000

# An address that is looked at less than daily is sent from for a day after its listing: no watch at all.
LONGEST_INTERVAL_HOURS = 24.0

# Kept for suspects' second looks, which must not wait for the routine's turn.
RESERVE_PERCENT = 5

# A list is asked so many addresses for every test point at least: its terms are for looking at addresses.
ADDRESSES_PER_TEST_POINT = 10

# Addresses with a listing somewhere are looked at four times as often, as long as they are a quarter of the looks.
URGENT_FACTOR = 4

DAY_SECONDS = 86_400
HOUR_SECONDS = 3_600

# Questions are counted by ten minutes.
SLOT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class BudgetLimits:
    """The limits that an operator may set; `own` holds questions a day by zone, which count where they are smaller.

    Where a list publishes no terms, its own number stands in the default's place, be it larger.
    """

    default_per_day: int = DEFAULT_PER_DAY
    longest_interval_hours: float = LONGEST_INTERVAL_HOURS
    own: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ListTerms:
    """What a list's operator publishes; None where nothing is."""

    zone: str
    per_day: int | None = None
    per_30_days: int | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """Questions that a list may be asked in any 24 hours, and in any 30 days where its terms count those.

    `source` says in words whose number that is.
    """

    zone: str
    per_day: int
    per_30_days: int | None
    source: str

    @property
    def reserve(self) -> int:
        """The part of a day's questions that is kept for suspects' second looks."""
        return ceil(self.per_day * RESERVE_PERCENT / 100)


@dataclass(frozen=True, slots=True)
class Turns:
    """How a list's questions are dealt out over a fleet.

    `interval_seconds`: every address is looked at so often. `batch`: the fewest addresses a pass is worth its test
    points for. `test_points`: questions that one look at them takes. `per_second`: how fast the bucket fills.
    `capacity`: the most that may be asked at once.
    """

    interval_seconds: float
    batch: int
    test_points: int
    per_second: float
    capacity: float


def allowance_of(terms: ListTerms, limits: BudgetLimits) -> Allowance:
    """A list's allowance: the smallest of its terms and the operator's own number, or the default."""
    own = limits.own.get(terms.zone)
    candidates = [(own, f"the policy allows {own or 0:,} a day")]
    if terms.per_day is not None:
        candidates.append((terms.per_day, f"its terms allow {terms.per_day:,} a day"))
    if terms.per_30_days is not None:
        a_day = terms.per_30_days // 30
        candidates.append((a_day, f"its terms allow {terms.per_30_days:,} in 30 days, {a_day:,} a day"))
    known = [(number, words) for number, words in candidates if number is not None]
    default = limits.default_per_day
    per_day, source = min(
        known or [(default, f"where no terms are published, {default:,} a day are taken")], key=lambda one: one[0]
    )
    return Allowance(terms.zone, per_day, terms.per_30_days, source)


def most_sent(address_count: int, test_points: int) -> int:
    """The most questions that a pass may come to; it is reserved before a list is asked.

    Twice an address: a second try, or a hit looked at again through another resolver; a list that needs more fails its
    sweep half-way. The test points twice around the questions, twice tried.
    """
    return 2 * address_count + 4 * test_points


def plan_turns(
    allowance: Allowance, *, address_count: int, test_points: int, sweep_seconds: float, urgent_count: int = 0
) -> Turns:
    """How often each address's turn comes on a list: with every sweep, or as often as the allowance lasts for."""
    batch = max(1, min(address_count, ADDRESSES_PER_TEST_POINT * test_points))
    # What a sweep asks is reserved at its worst, and that must fit beside what the rest of the day asked.
    day_share = min(sweep_seconds / DAY_SECONDS, 1.0)
    a_sweeps_share = (allowance.per_day - most_sent(0, test_points)) / (1 + 2 * day_share)
    a_day = min(
        allowance.per_day - allowance.reserve,
        # ... and what late sweeps make up for, and the slot by which a window is counted longer than a day.
        (allowance.per_day - most_sent(batch, test_points)) / (1 + day_share + SLOT_SECONDS / DAY_SECONDS),
        max(a_sweeps_share, allowance.per_day - most_sent(address_count, test_points)),
    )
    if a_day <= 0:
        return Turns(inf, batch, test_points, 0.0, 0.0)
    per_second = a_day / DAY_SECONDS
    a_sweep = per_second * sweep_seconds
    portion = max(batch, min(address_count, int(a_sweep) - test_points))
    # The listed ones' extra looks are the others' wait: at most a third more of it.
    looks = address_count + min((URGENT_FACTOR - 1) * urgent_count, address_count / (URGENT_FACTOR - 1))
    passes = looks / portion
    spacing = (portion + test_points) / per_second
    # Where sweeps go by until a batch is affordable, whom the last batch has no place for waits for another.
    turn = ceil(passes) * spacing if spacing > sweep_seconds else passes * spacing
    return Turns(
        interval_seconds=max(sweep_seconds, turn),
        batch=batch,
        test_points=test_points,
        per_second=per_second,
        # An hour's worth: what late sweeps left is made up for, a day's pause is not.
        capacity=max(per_second * HOUR_SECONDS, a_sweep + batch + test_points),
    )


def why_refused(
    allowance: Allowance, limits: BudgetLimits, *, address_count: int, test_points: int, sweep_seconds: float
) -> str | None:
    """Why a list cannot be asked about so many addresses, with the sum in words; None where it can."""
    turns = plan_turns(allowance, address_count=address_count, test_points=test_points, sweep_seconds=sweep_seconds)
    hours = limits.longest_interval_hours
    if turns.interval_seconds <= max(hours * HOUR_SECONDS, sweep_seconds):
        return None
    needed = ceil(address_count * 24 / hours)
    left = int(turns.per_second * DAY_SECONDS)
    # Where the bare sum would fit, the rest of it is what does not.
    rest = f", {max(left, 0):,} of them beside test points and second looks" if needed <= allowance.per_day else ""
    return (
        f"{allowance.zone}: {address_count:,} addresses once in {hours:g} h are {needed:,} questions a day; "
        f"{allowance.source}{rest}. Leave it out of [blacklists] zones, or ask for fewer"
    )


def sweep_seconds_of(cron: str) -> float:
    """About how far apart a cron schedule's times are, by its minutes and hours; an hour for an alias."""
    fields = cron.split()
    if len(fields) < 5:  # @hourly and the like
        return HOUR_SECONDS
    return DAY_SECONDS / (_times(fields[0], 60) * _times(fields[1], 24))


def _times(field_text: str, most: int) -> int:
    """How often a cron field comes by."""
    total = 0
    for part in field_text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        width = most if first == "*" else int(last or first) - int(first) + 1
        total += ceil(width / int(step or 1))
    return max(1, min(total, most))
