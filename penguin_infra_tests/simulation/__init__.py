"""A fleet's year in seconds: the real rules of the domain, driven hour by hour over seeded demand and trouble.

No Dagster, no database, no clock: what is simulated is the world and the work, never a decision.
"""
