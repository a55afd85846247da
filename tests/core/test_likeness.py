"""The rules by which two files are one: bands that miss nothing, frames that are shared, sound that lies on sound."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from core.likeness import BIT_ERROR, FARTHEST, bit_error, frame_share, probes, terms

HASH = st.integers(0, 2**64 - 1)


@given(HASH, st.sets(st.integers(0, 63), max_size=FARTHEST), st.integers(0, FARTHEST))
def test_a_hash_within_the_distance_has_one_of_the_probed_values_in_some_band(value, flipped, distance):
    flipped = set(sorted(flipped)[:distance])
    other = value ^ sum(1 << bit for bit in flipped)
    asked = probes(f"{value:016x}", distance)
    bands = [int(f"{other:016x}"[4 * n : 4 * n + 4], 16) for n in range(4)]
    assert any(band in values for band, values in zip(bands, asked, strict=True))


def test_few_values_are_probed():
    assert [len(values) for values in probes("0" * 16, 3)] == [1] * 4
    assert [len(values) for values in probes("0" * 16, 7)] == [17] * 4
    assert [len(values) for values in probes("0" * 16, 11)] == [137] * 4


def test_a_share_of_frames_is_of_the_shorter_clip():
    dice = random.Random(1)
    long = [f"{dice.getrandbits(64):016x}" for _ in range(40)]
    nearly = [f"{int(frame, 16) ^ 0b111:016x}" for frame in long[10:20]]
    assert frame_share(nearly, long) == frame_share(long, nearly) == 1.0
    assert frame_share(nearly[:5] + ["0" * 16] * 5, long) == 0.5
    assert frame_share([], long) == 0.0


def test_two_recordings_are_one_wherever_they_begin_and_others_are_not():
    dice = random.Random(2)
    music = [dice.getrandbits(32) - 2**31 for _ in range(600)]
    noisy = [item ^ (1 << dice.randrange(31) if dice.random() < 0.8 else 0) for item in music]
    other = [dice.getrandbits(32) - 2**31 for _ in range(600)]
    assert bit_error(music, music) == 0
    assert 0 < bit_error(noisy[70:], music) < 0.03
    assert bit_error(music[:500], noisy[100:]) < BIT_ERROR
    assert bit_error(music, noisy[300:]) > BIT_ERROR  # a shift of more than 120 items is not tried
    assert bit_error(music, other) > 0.4
    assert bit_error([], music) == 1.0


def test_silence_and_a_held_tone_have_no_terms():
    assert terms([627964279] * 900) == []
    assert terms([7, 8] * 400) == []
    assert len(terms([n << 4 for n in range(200)])) == 200
