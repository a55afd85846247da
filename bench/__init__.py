"""Benchmarks: what is fast or small enough here is measured, and compared side by side."""
