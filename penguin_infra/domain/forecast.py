"""Demand as it will be, by its season and its drift, with the error that the method made in the past beside it.

A seasonal naive method with drift, of medians alone: one absurd sample shifts a median by a rank, whatever its size.
What a forecast is good for (buying nodes, or nothing at all) is the policies' to say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isfinite
from statistics import median

DAYS_A_WEEK = 7

# Two seasons tell a drift from a season; the third is what the method is tried on.
FEWEST_SEASONS = 3

# Half a year of weeks. What is older says little, and the drift's pairs grow with the square.
MOST_SEASONS = 26

# Each past season that the method is tried on; more of them tell of a fleet that is no more.
MOST_TRIALS = 4

_Sample = float | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """The sums to come, the next period's first.

    `typical_error`: the median absolute error in the trials. `scaled_error`: the same over the median error of
    repeating the last season on the same history; below 1 it beats that, None where that never erred. It is the scaled
    error of Hyndman and Koehler (2006) with medians for means: one absurd sample must not discredit a good forecast.
    """

    values: tuple[float, ...]
    drift: float
    typical_error: float
    scaled_error: float | None
    trials: int

    def __str__(self) -> str:
        scaled = "nothing to scale it by" if self.scaled_error is None else f"{self.scaled_error:.2f} of repeating's"
        error = f"typical error {self.typical_error:,.0f} ({scaled}; {self.trials} seasons tried)"
        return f"drift {self.drift:+,.1f} a period, {error}"


@dataclass(frozen=True, slots=True)
class NoForecast:
    """Nothing can be said, and why."""

    reason: str

    def __str__(self) -> str:
        return f"no forecast: {self.reason}"


@dataclass(frozen=True, slots=True)
class _Fit:
    level: float
    drift: float
    indexes: tuple[float, ...]

    def ahead(self, steps: int) -> tuple[float, ...]:
        season = len(self.indexes)
        return tuple(
            max(0.0, (self.level + self.drift * step) * self.indexes[(step - 1) % season])
            for step in range(1, steps + 1)
        )


def forecast_demand(history: Sequence[float | None], *, ahead: int, season: int = DAYS_A_WEEK) -> Forecast | NoForecast:
    """Carry a history of even periods forward.

    `history`: sums of whole periods, the oldest first (daily ones with a season of 7, hourly ones with 168); None where
    a period was not measured, which is not the same as nothing. What is below zero or no number counts as not measured.
    """
    samples = [_sound(sample) for sample in history][-season * MOST_SEASONS :]
    seasons = len(samples) // season
    if seasons < FEWEST_SEASONS:
        return NoForecast(
            f"{len(samples)} periods are {seasons} whole seasons of {season}; it takes {FEWEST_SEASONS}: "
            "two to learn from and one to be tried on"
        )
    fit = _fit(samples, season)
    if isinstance(fit, NoForecast):
        return fit
    return _tried(fit, samples, season=season, ahead=ahead)


def _tried(fit: _Fit, samples: list[_Sample], *, season: int, ahead: int) -> Forecast | NoForecast:
    errors: list[float] = []
    trials = 0
    for back in range(1, min(MOST_TRIALS, len(samples) // season - 2) + 1):
        begin = len(samples) - back * season
        past = _fit(samples[:begin], season)
        if isinstance(past, NoForecast):
            continue
        trials += 1
        facts = samples[begin : begin + season]
        errors += [abs(fact - said) for fact, said in zip(facts, past.ahead(season), strict=True) if fact is not None]
    if not errors:
        return NoForecast(f"no season before the last could be learnt from: too few of {len(samples)} were measured")
    repeated = [
        abs(now - then)
        for then, now in zip(samples, samples[season:], strict=False)
        if then is not None and now is not None
    ]
    scale = median(repeated) if repeated else 0.0
    error = median(errors)
    return Forecast(fit.ahead(ahead), fit.drift, error, error / scale if scale else None, trials)


def _fit(samples: list[_Sample], season: int) -> _Fit | NoForecast:
    blocks = _blocks(samples, season)
    known = [[sample for sample in block if sample is not None] for block in blocks]
    if short := sum(2 * len(block) <= season for block in known):
        return NoForecast(f"{short} of {len(blocks)} seasons were measured for half of their periods or less")
    levels = [median(block) for block in known]
    if min(levels) <= 0:
        return NoForecast(
            f"in {sum(level <= 0 for level in levels)} of {len(levels)} seasons most periods carry nothing"
        )
    drift = _slope(levels) / season
    indexes = _indexes(blocks, levels, drift)
    last = [
        sample / index - drift * (position - (season - 1))
        for position, (sample, index) in enumerate(zip(blocks[-1], indexes, strict=True))
        if sample is not None and index > 0
    ]
    return _Fit(median(last), drift, indexes) if last else NoForecast("the last season tells of no level")


def _blocks(samples: list[_Sample], season: int) -> list[list[_Sample]]:
    """Whole seasons, counted back from the end, so that the first step ahead is the first of a season."""
    first = len(samples) % season
    return [samples[begin : begin + season] for begin in range(first, len(samples), season)]


def _slope(levels: list[float]) -> float:
    """The median slope of all pairs (Theil and Sen); none for a single level."""
    pairs = combinations(enumerate(levels), 2)
    return median([(late - early) / (j - i) for (i, early), (j, late) in pairs] or [0.0])


def _indexes(blocks: list[list[_Sample]], levels: list[float], drift: float) -> tuple[float, ...]:
    """For each period of a season, how much of its season's level it carries; 1 where it was never measured.

    The drift within a season is taken off first: it would be counted twice.
    """
    season = len(blocks[0])
    middle = (season - 1) / 2
    by_position: list[list[float]] = [[] for _ in range(season)]
    for block, level in zip(blocks, levels, strict=True):
        for position, sample in enumerate(block):
            # A drift that would take a season's edge below nothing is no line: then its level alone stands for it.
            local = level + drift * (position - middle)
            if sample is not None:
                by_position[position].append(sample / (local if local > 0 else level))
    return tuple(median(shares) if shares else 1.0 for shares in by_position)


def _sound(sample: _Sample) -> _Sample:
    return sample if sample is not None and isfinite(sample) and sample >= 0 else None
