"""Chaos: whole installations under seeded faults, judged by what their rows, files and bills say."""
