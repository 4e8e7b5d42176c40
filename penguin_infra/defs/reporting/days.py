"""The days that costs and reputation are summed up by: partitions of UTC days, today's so far among them."""

from datetime import date

import dagster as dg

# Before it no fleet of ours was billed. One day more than are over: today's sums are wanted too.
FIRST_DAY = date(2026, 1, 1)
DAYS = dg.DailyPartitionsDefinition(start_date=FIRST_DAY.isoformat(), timezone="UTC", end_offset=1)

# A year of days in one run: each is a second's work or less, and a process a day would take ten.
ALL_DAYS_AT_ONCE = dg.BackfillPolicy.single_run()
