"""Stores: bindings and credentials, in memory and in SQLite."""
