"""What a picture must have to be worth showing, for those who read a claim and those who look into a file."""

from __future__ import annotations

LEAST_SIDE = 470
"""Pixels of the short side: 480, less what is lost on the way, as 1920x1080 put into 4:3 and cropped."""
