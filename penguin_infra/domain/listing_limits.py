"""The thresholds of blacklist listings: when clean answers end one, and when a list lists too many to be believed.

Numbers and the sums on them; the rules that use them stand in `listing_advance.py` and the policies.
"""

from dataclasses import dataclass

# Lists are served by mirrors that lag by minutes: one clean answer from a stale mirror must not free an address, nor
# may three within one answer's life. Operators' own expiries are hours to days, so an hour costs little.
CLEAN_ANSWERS_TO_DELIST = 3
CLEAN_SPAN_SECONDS = 3600

# A list that suddenly lists many has more often died than found out the fleet (SpamCop, January 2021): beyond a
# twentieth of the fleet it is not believed. The floor lets a small fleet have three bad addresses on a bad day.
BLAST_FLOOR = 3
BLAST_PERCENT = 5


@dataclass(frozen=True, slots=True)
class ListingLimits:
    """The thresholds that an operator may change."""

    clean_answers_to_delist: int = CLEAN_ANSWERS_TO_DELIST
    clean_span_seconds: int = CLEAN_SPAN_SECONDS


DEFAULT_LIMITS = ListingLimits()


def blast_limit(fleet_size: int) -> int:
    """How many addresses one list may newly list in one sweep; more than this freezes the list."""
    return max(BLAST_FLOOR, fleet_size * BLAST_PERCENT // 100)
