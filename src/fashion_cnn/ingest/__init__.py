"""Bringing the raw files, reading them and splitting them; no statistics of what they show."""
