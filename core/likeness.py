"""How alike two files are, told from their fingerprints: the rules and limits, without a file or a database.

Limits are those of the projects that use such fingerprints: PDQ's 31 of 256 bits for frames (8 of 64), 80 %
of the frames for vPDQ, AcoustID's +-120 items for the alignment of sound. 64-bit hashes travel as 16 hex
digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import combinations

BITS, BAND_BITS = 64, 16
BANDS = BITS // BAND_BITS
NEAR = 7
"""Bits in which two hashes of the same picture differ at most; what one flipped bit a band still finds."""
FARTHEST = 11
"""The largest distance that is looked up: two flipped bits a band."""
FRAME_NEAR = 8
FRAME_SHARE = 0.8
LEAST_FRAMES = 3
"""Frames a clip must have before it is called an excerpt of a longer one."""
MAX_SHIFT = 120
"""Items (about 15 seconds) by which two recordings may be shifted."""
BIT_ERROR = 0.15
OVERLAP = 0.8
_TERM_DROPS = 4
"""The lowest bits of a Chromaprint item, the least stable: an index leaves them out."""
_LEAST_TERMS = 12
"""Different items that a recording must have: silence and a held tone look like one another."""
_ITEM = 32


class HashAlgo(StrEnum):
    """What a fingerprint is made of."""

    PICTURE = "picture"
    """64-bit DCT hash of a still: whole, and without 2.5 % and 5 % of every edge."""
    SPRITE = "sprite"
    """The same hash of 25 frames of a clip in one picture."""
    FRAME = "frame"
    """The same hash of a clip's frames, one a second."""
    CHROMAPRINT = "chromaprint"
    """The first two minutes of music."""
    PCM = "pcm"
    """The beginning of the SHA-256 of a short sound's samples: equal or not, never near."""


VERSIONS = dict.fromkeys(HashAlgo, 1)
"""Raised when a fingerprint is computed otherwise: those of another version are never compared."""


@dataclass(frozen=True)
class Fingerprint:
    """`hashes` are of equal standing and in order; `items` (signed 32 bits) are Chromaprint's."""

    algo: HashAlgo
    hashes: tuple[str, ...] = ()
    items: tuple[int, ...] = ()


@lru_cache(maxsize=8)
def _flips(within: int) -> tuple[int, ...]:
    """Every way to flip at most `within` bits of a band."""
    return tuple(
        sum(1 << bit for bit in bits)
        for count in range(within + 1)
        for bits in combinations(range(BAND_BITS), count)
    )


def probes(value: str, distance: int) -> list[list[int]]:
    """Say for each band which values a hash within `distance` of `value` may have; one band has one of them.

    Norouzi, Punjani, Fleet, "Fast Exact Search in Hamming Space with Multi-Index Hashing" (2014).
    """
    flips = _flips(distance // BANDS)
    number, mask = int(value, 16), (1 << BAND_BITS) - 1
    bands = [number >> (BITS - BAND_BITS * (band + 1)) & mask for band in range(BANDS)]
    return [[band ^ flip for flip in flips] for band in bands]


def frame_share(one: Sequence[str], other: Sequence[str]) -> float:
    """The share of the shorter clip's frames that the other one has too."""
    short, long = sorted((one, other), key=len)
    if not short:
        return 0.0
    there = [int(frame, 16) for frame in long]
    found = sum(min((int(frame, 16) ^ x).bit_count() for x in there) <= FRAME_NEAR for frame in short)
    return found / len(short)


def terms(items: Sequence[int]) -> list[int]:
    """What an index keeps of a Chromaprint: its different items without their unstable bits, or nothing."""
    found = sorted({(item & 0xFFFFFFFF) >> _TERM_DROPS for item in items})
    return found if len(found) >= _LEAST_TERMS else []


def bit_error(one: Sequence[int], other: Sequence[int]) -> float:
    """The share of differing bits where two Chromaprints lie best on one another; 1 where they never do.

    Shifts that leave less than 80 % of the shorter one on the other are not tried.
    """
    first, second = _number(one), _number(other)
    least = OVERLAP * min(len(one), len(other))
    best = 1.0
    for shift in range(-MAX_SHIFT, MAX_SHIFT + 1):
        ahead, behind = max(0, shift), max(0, -shift)
        overlap = min(len(one) - ahead, len(other) - behind)
        if overlap < max(1.0, least):
            continue
        differing = (first >> ahead * _ITEM) ^ (second >> behind * _ITEM)
        wrong = (differing & ((1 << overlap * _ITEM) - 1)).bit_count()
        best = min(best, wrong / (overlap * _ITEM))
    return best


def _number(items: Sequence[int]) -> int:
    return int.from_bytes(b"".join((item & 0xFFFFFFFF).to_bytes(4, "little") for item in items), "little")
