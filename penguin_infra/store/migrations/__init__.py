"""Alembic's environment and the schema's versions. Run through `store/schema.py`, never by Alembic's own command."""
