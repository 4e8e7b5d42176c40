"""The only Dagster code: assets, checks, sensors, jobs and schedules. Rules and SQL stand on lower floors."""
