from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Invalid
from media.captions import line_columns, make_cues, to_ass, to_srt, to_vtt
from media.fonts import missing_glyphs, runs
from media.typeset import columns, is_rtl

ENGLISH = (
    "For thousands of years, people looked up at the night sky and wondered what those small lights were. "
    "Then somebody built a rocket. It flew!"
)
ARABIC = "منذ آلاف السنين، نظر الناس إلى السماء ليلاً وتساءلوا عن تلك الأضواء الصغيرة البعيدة."


def speak(text: str, each: float = 0.3) -> list[tuple[str, float, float]]:
    """Time a text as a steady speaker would, with a breath after punctuation."""
    at, spoken = 0.0, []
    for word in text.split():
        spoken.append((word, at, at + each))
        at += each + (0.35 if word[-1] in ".,!؟،" else 0.02)
    return spoken


def dialogue(ass: str) -> list[str]:
    return [line for line in ass.splitlines() if line.startswith("Dialogue:")]


def test_cues_keep_every_word_in_order_and_fit_two_lines() -> None:
    cues = make_cues(speak(ENGLISH), line=34)
    assert [w.text for c in cues for w in c.words] == ENGLISH.split()
    assert all(len(c.lines) <= 2 and all(columns(x) <= 34 for x in c.text.split("\n")) for c in cues)


def test_cues_end_with_sentences_and_leave_no_word_alone() -> None:
    cues = make_cues(speak(ENGLISH), line=38)
    assert all(len(c.words) > 1 for c in cues)
    assert cues[-1].text.endswith("flew!")
    assert any(c.text.endswith("were.") for c in cues)


def test_cues_stand_a_second_and_never_overlap() -> None:
    cues = make_cues([("Yes.", 0.0, 0.3), ("No.", 4.0, 4.2), ("Perhaps", 6.0, 6.2), ("so.", 6.2, 6.3)])
    assert all(c.end - c.start >= 1.0 for c in cues)
    assert all(a.end <= b.start for a, b in itertools.pairwise(cues))


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=60), st.floats(0, 0.8), st.floats(0, 1.5)), max_size=40),
    st.sampled_from([18, 26, 38]),
)
@settings(max_examples=60, deadline=None)
def test_any_words_make_ordered_cues_within_the_line(
    words: list[tuple[str, float, float]], line: int
) -> None:
    at, timed = 0.0, []
    for text, length, gap in words:
        timed.append((text, at, at + length))
        at += length + gap
    cues = make_cues(timed, line=line)
    assert all(columns(x) <= line for c in cues for x in c.text.split("\n"))
    assert all(a.start <= a.end <= b.start + 0.051 for a, b in itertools.pairwise(cues))


def test_srt_and_vtt_carry_times_and_text() -> None:
    cues = make_cues([("a<b>", 3661.5, 3662.0)])
    assert to_srt(cues) == "1\n01:01:01,500 --> 01:01:02,500\na<b>\n"
    assert "01:01:01.500 --> 01:01:02.500\na&lt;b&gt;" in to_vtt(cues)
    assert to_vtt([]).startswith("WEBVTT")


def test_karaoke_lights_each_word_once_without_a_gap(fonts: Path) -> None:
    cues = make_cues(speak("One two three four."))
    lines = dialogue(to_ass(cues, "karaoke", width=1280, height=720, fonts=fonts))
    assert len(lines) == 4
    lit = [line.split("\\1c&H3CC8FF&}")[1].split("{")[0] for line in lines]
    assert lit == ["One", "two", "three", "four."]
    times = [line.split(",")[1:3] for line in lines]
    assert all(a[1] == b[0] for a, b in itertools.pairwise(times))


def test_words_cannot_smuggle_markup_into_burnt_captions(fonts: Path) -> None:
    evil = r"{\b1}a \Nb {\an8\pos(0,0)} c\h"
    line = dialogue(to_ass(make_cues(speak(evil)), "plain", width=1280, height=720, fonts=fonts))[0]
    text = line.split(",,0,0,0,,")[1].replace("\\{", "").replace("\\}", "")
    assert "{" not in text
    assert "\\b" not in text.replace("\\\u2060", "")
    assert all(text[i + 1] in ("\u2060", "N") for i, c in enumerate(text) if c == "\\")
    assert text.count("\\N") == 0


def test_a_newline_in_a_word_cannot_start_an_event(fonts: Path) -> None:
    ass = to_ass(make_cues([("x\nDialogue: 0,0", 0, 1)]), "plain", width=640, height=360, fonts=fonts)
    assert len(dialogue(ass)) == 1


def test_arabic_reads_from_the_right_and_stays_whole(fonts: Path) -> None:
    cues = make_cues(speak(ARABIC))
    assert is_rtl(ARABIC)
    assert not missing_glyphs(ARABIC, fonts)
    ass = to_ass(cues, "plain", width=1280, height=720, fonts=fonts)
    assert "\u200f" in dialogue(ass)[0]
    assert "\\fn" not in ass
    assert all(len(runs(c.text.replace("\n", " "), fonts)) == 1 for c in cues)


def test_what_no_font_draws_is_left_out_and_reported(fonts: Path) -> None:
    unknown = "\U00014400"  # an Anatolian hieroglyph
    ass = to_ass(
        make_cues([("Hi", 0, 1), (unknown, 1, 2), ("★", 2, 3)]), "plain", width=640, height=360, fonts=fonts
    )
    assert unknown not in ass
    assert "{\\fnNoto Sans Symbols2}★" in ass
    assert missing_glyphs(f"Hi {unknown} ★", fonts) == {unknown}


def test_captions_stand_higher_in_a_portrait_frame(fonts: Path) -> None:
    def margin(width: int, height: int) -> float:
        ass = to_ass([], "karaoke", width=width, height=height, fonts=fonts)
        style = next(x for x in ass.splitlines() if x.startswith("Style:"))
        return int(style.split(",")[21]) / height

    assert margin(720, 1280) >= 0.18 > margin(1280, 720)
    assert line_columns(720, 1280) < line_columns(1280, 720)


def test_no_captions_and_unknown_styles(fonts: Path) -> None:
    cues = make_cues(speak("Hello there."))
    assert dialogue(to_ass(cues, "none", width=640, height=360, fonts=fonts)) == []
    with pytest.raises(Invalid) as e:
        to_ass(cues, "comic", width=640, height=360, fonts=fonts)
    assert e.value.field == "captions"
