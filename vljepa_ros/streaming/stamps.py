"""Stamps count nanoseconds, settings seconds."""

SECOND = 1_000_000_000  # ns
