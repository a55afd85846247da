"""Simulated vendors: their wire dialects spoken on this machine, with faults on request, for free."""
