"""Alembic's scripts: how a database of any age becomes one of today."""
