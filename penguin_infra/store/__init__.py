"""The memory: PostgreSQL, its tables and migrations, and one module an aggregate. All SQL stands here."""
