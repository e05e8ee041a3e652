"""Faults by the hundred, seeded, as a table: `make campaign`. The suite runs a few of each."""
