"""Turn spoken words with their times into captions: readable cues, SRT, WebVTT and burnable ASS."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from core.errors import Invalid
from media.fonts import FAMILY, runs
from media.typeset import columns, is_rtl, measure, wrap

Style = Literal["karaoke", "plain", "boxed", "none"]
STYLES: tuple[Style, ...] = ("karaoke", "plain", "boxed", "none")
MAX_LINES = 2
MIN_SECONDS, MAX_SECONDS = 1.0, 6.0
_PAUSE = 0.7  # a silence this long ends a cue
_STOPS = tuple(".!?…。！？؟۔।")  # noqa: RUF001 - other scripts' stops look like ours
_COMMAS = tuple(",;:،؛、，；：—–")  # noqa: RUF001 - and so do their commas
_CLOSERS = "\"'”’»)]}"  # noqa: RUF001 - curly closing quotes
_NEVER = 1e9
_STYLE_FIELDS = (
    "Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, "
    "Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, "
    "MarginL, MarginR, MarginV, Encoding"
)


class Word(NamedTuple):
    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Cue:
    """A caption on screen: lines of words, from start to end in seconds."""

    lines: tuple[tuple[Word, ...], ...]
    start: float
    end: float

    @property
    def words(self) -> tuple[Word, ...]:
        return tuple(word for line in self.lines for word in line)

    @property
    def text(self) -> str:
        return "\n".join(join_words([w.text for w in line]) for line in self.lines)


def line_columns(width: int, height: int, style: Style = "karaoke") -> int:
    """Say how many columns a caption line may have in a frame of this shape."""
    shape = width / height
    bold = style == "karaoke"
    if shape < 0.8:
        return 20 if bold else 26
    if shape < 1.25:
        return 26 if bold else 32
    return 34 if bold else 38


def make_cues(words: Iterable[tuple[str, float, float]], *, line: int = 38) -> list[Cue]:
    """Group words into cues of at most two lines of `line` columns.

    All groupings are weighed: a cue should end with a sentence or a pause, fill its lines, hold more
    than one word and stand at least a second. Words longer than a line are cut.
    """
    spoken = [Word(piece, a, b) for w in words for piece, a, b in _clean(Word(*w), line)]
    n = len(spoken)
    best, before = [0.0] + [_NEVER] * n, [0] * (n + 1)
    for end in range(1, n + 1):
        for start in range(end - 1, max(-1, end - 40), -1):
            cost = best[start] + _cost(spoken[start:end], line)
            if cost < best[end]:
                best[end], before[end] = cost, start
    spans: list[tuple[int, int]] = []
    at = n
    while at > 0:
        spans.append((before[at], at))
        at = before[at]
    return _time([spoken[a:b] for a, b in reversed(spans)], line)


def to_srt(cues: list[Cue]) -> str:
    """Write SubRip text."""
    blocks = [
        f"{i}\n{_clock(c.start, ',')} --> {_clock(c.end, ',')}\n{c.text}\n" for i, c in enumerate(cues, 1)
    ]
    return "\n".join(blocks)


def to_vtt(cues: list[Cue]) -> str:
    """Write WebVTT text; markup in the words is escaped."""
    blocks = [f"{_clock(c.start)} --> {_clock(c.end)}\n{html.escape(c.text, quote=False)}\n" for c in cues]
    return "\n".join(["WEBVTT\n", *blocks])


def to_ass(
    cues: list[Cue],
    style: Style,
    *,
    width: int,
    height: int,
    fonts: Path,
    title: str | None = None,
    title_seconds: float = 0.0,
) -> str:
    """Write Advanced SubStation text for libass; `fonts` is the folder `install_fonts` filled.

    A `title` stands large in the middle of the frame for `title_seconds`, whatever the style. Words
    never act as markup. A line too wide for the frame is set smaller. What no font can draw is
    left out (`missing_glyphs` tells).
    """
    if style not in STYLES:
        raise Invalid(f"captions is {style!r}; it must be one of {', '.join(STYLES)}.", field="captions")
    size = _size(width, height, style)
    events: list[str] = []
    for cue in cues if style != "none" else []:
        fit = _fit(cue, fonts, size, width, bold=style == "karaoke")
        if style == "karaoke":
            events += _karaoke(cue, fonts, fit)
        else:
            events.append(_event(cue.start, cue.end, fit + _text(cue, fonts, bold=False)))
    if title and title_seconds > 0:
        events.append(_title(title, title_seconds, width, height, fonts))
    return "\n".join([*_head(width, height, style, size), *events, ""])


def join_words(words: list[str]) -> str:
    """Join words with blanks, except where both sides are of a script written without them."""
    text = ""
    for word in words:
        tight = text and word and columns(text[-1]) == 2 and columns(word[0]) == 2
        text += word if not text or tight else f" {word}"
    return text


def _clean(word: Word, line: int) -> list[Word]:
    """Strip control characters; cut a word longer than a line into pieces that share its time."""
    text = "".join(c if c.isprintable() else " " for c in word.text if c not in "\ufe0e\ufe0f")
    text = " ".join(text.split())
    if not text:
        return []
    if columns(text) <= line:
        return [Word(text, word.start, max(word.end, word.start))]
    step = max(1, line * len(text) // columns(text) - 1)
    pieces = [text[i : i + step] for i in range(0, len(text), step)]
    share = (word.end - word.start) / len(pieces)
    return [Word(p, word.start + i * share, word.start + (i + 1) * share) for i, p in enumerate(pieces)]


def _cost(words: list[Word], line: int) -> float:
    """Weigh a cue; _NEVER when it cannot be one."""
    gaps = [b.start - a.end for a, b in itertools.pairwise(words)]
    seconds = words[-1].end - words[0].start
    if len(words) > 1 and (max(gaps) > _PAUSE or seconds > MAX_SECONDS):
        return _NEVER
    lines = _break(words, line)
    if lines is None:
        return _NEVER
    last = words[-1].text.rstrip(_CLOSERS)
    end = 0.0 if last.endswith(_STOPS) else 0.35 if last.endswith(_COMMAS) else 1.0
    inner = sum(w.text.rstrip(_CLOSERS).endswith(_STOPS) for w in words[:-1])
    filled = columns(join_words([w.text for w in words])) / (MAX_LINES * line)
    alone = 2.0 if len(words) == 1 else 0.0
    return 0.6 + end + 1.1 * inner + (1 - filled) ** 2 + alone + 1.5 * max(0.0, MIN_SECONDS - seconds)


def _break(words: list[Word], line: int) -> list[list[Word]] | None:
    """Break a cue into at most two even lines, never leaving one word alone if it can be helped."""
    if columns(join_words([w.text for w in words])) <= line:
        return [words]
    found: tuple[float, list[list[Word]]] | None = None
    for i in range(1, len(words)):
        one, two = (columns(join_words([w.text for w in part])) for part in (words[:i], words[i:]))
        if max(one, two) > line:
            continue
        lonely = 6.0 * (len(words) > 3 and 1 in (i, len(words) - i))
        score = abs(one - two) + lonely - 4 * words[i - 1].text.endswith(_COMMAS + _STOPS)
        if found is None or score < found[0]:
            found = (score, [words[:i], words[i:]])
    return found[1] if found else None


def _time(groups: list[list[Word]], line: int) -> list[Cue]:
    """Give every cue its time: at least a second where there is room, small gaps closed."""
    cues: list[Cue] = []
    for i, words in enumerate(groups):
        start = max(0.0, words[0].start)
        following = groups[i + 1][0].start if i + 1 < len(groups) else float("inf")
        end = min(max(words[-1].end + 0.15, start + MIN_SECONDS), following)
        if following - end < 0.35:
            end = following
        lines = _break(words, line) or [words]
        cues.append(Cue(tuple(tuple(x) for x in lines), start, max(end, start + 0.05)))
    return cues


def _size(width: int, height: int, style: Style) -> int:
    """Choose the font size (libass counts the line's height, a fifth more than the letter's)."""
    em = min(width * 0.88 / (line_columns(width, height, style) * 0.56), min(width, height) * 0.082)
    return round(em * (1.22 if style == "karaoke" else 1.1))


def _head(width: int, height: int, style: Style, size: int) -> list[str]:
    bold = -1 if style == "karaoke" else 0
    em = size / 1.2
    # 9:16 players lay their own words over the lowest fifth
    bottom = round(height * (0.2 if height > width else 0.075))
    side = round(width * 0.05)
    if style == "boxed":
        look = f"4,{em * 0.1:.1f},{em * 0.32:.1f}"
        colours = "&H00FFFFFF,&H00FFFFFF,&H00101010,&H60141210"
    else:
        look = f"1,{em * (0.075 if style == 'karaoke' else 0.055):.1f},{em * 0.05:.1f}"
        colours = "&H00FFFFFF,&H00FFFFFF,&H00120E0C,&H70000000"
    return [
        "[Script Info]",
        "ScriptType: v4.00+",
        f"PlayResX: {width}",
        f"PlayResY: {height}",
        "ScaledBorderAndShadow: yes",
        "WrapStyle: 2",
        "YCbCr Matrix: TV.709",
        "",
        "[V4+ Styles]",
        f"Format: {_STYLE_FIELDS}",
        # Encoding -1: libass finds the direction of each line by itself
        f"Style: Words,{FAMILY},{size},{colours},{bold},0,0,0,100,100,0,0,{look},2,{side},{side},{bottom},-1",
        "",
        "[Events]",
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text",
    ]


def _karaoke(cue: Cue, fonts: Path, fit: str) -> list[str]:
    """Write one event per word spoken, so that the word is lit while the line stands still."""
    words = cue.words
    starts = [max(cue.start, w.start) for w in words]
    starts[0] = cue.start
    ends = [*starts[1:], cue.end]
    return [
        _event(a, b, fit + _text(cue, fonts, bold=True, lit=i))
        for i, (a, b) in enumerate(zip(starts, ends, strict=True))
        if b - a >= 0.01
    ]


def _text(cue: Cue, fonts: Path, *, bold: bool, lit: int | None = None) -> str:
    lines: list[str] = []
    i = 0
    for line in cue.lines:
        shown: list[tuple[str, str]] = []  # a word as spoken, and as marked up; undrawable ones are left out
        for word in line:
            if text := _escape(word.text, fonts, bold=bold):
                shown.append((word.text, f"{{\\1c&H3CC8FF&}}{text}{{\\1c}}" if i == lit else text))
            i += 1
        marked = "".join(
            (" " if k and " " in join_words([shown[k - 1][0], spoken]) else "") + text
            for k, (spoken, text) in enumerate(shown)
        )
        lines.append(("\u200f" if is_rtl(" ".join(spoken for spoken, _ in shown)) else "") + marked)
    return "\\N".join(lines)


def _escape(text: str, fonts: Path, *, bold: bool) -> str:
    """Make text harmless to libass and name the font of pieces our main face cannot draw."""
    out = ""
    for piece, face in runs(text, fonts, bold=bold):
        safe = piece.replace("\\", "\\\u2060").replace("{", "\\{").replace("}", "\\}")
        out += safe if face.family == FAMILY else f"{{\\fn{face.family}}}{safe}{{\\fn}}"
    return out


def _fit(cue: Cue, fonts: Path, size: int, width: int, *, bold: bool) -> str:
    """Shrink the cue when its widest line would leave the frame."""
    em = size / 1.2
    widest = max(measure(line, fonts, 100, bold=bold) * em / 100 for line in cue.text.split("\n"))
    room = width * 0.9
    return f"{{\\fs{size * room / widest:.1f}}}" if widest > room else ""


def _title(title: str, seconds: float, width: int, height: int, fonts: Path) -> str:
    """Set a title over the picture: as large as three lines of it fit, fading in and out."""
    size = round(min(width, height) * 0.15)
    while True:
        lines = wrap(title, fonts, size, width * 0.84, bold=True)
        if len(lines) <= 3 or size <= 18:
            break
        size = round(size * 0.9)
    text = "\\N".join(_escape(line, fonts, bold=True) for line in lines)
    look = f"\\an5\\b1\\fs{round(size * 1.2)}\\bord0\\shad{size * 0.03:.1f}\\blur{size * 0.02:.1f}"
    return _event(min(0.3, seconds / 8), seconds, f"{{{look}\\fad(500,500)}}{text}")


def _event(start: float, end: float, text: str) -> str:
    return f"Dialogue: 0,{_ass_clock(start)},{_ass_clock(end)},Words,,0,0,0,,{text}"


def _ass_clock(seconds: float) -> str:
    cs = round(seconds * 100)
    return f"{cs // 360000}:{cs // 6000 % 60:02}:{cs // 100 % 60:02}.{cs % 100:02}"


def _clock(seconds: float, point: str = ".") -> str:
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}{point}{ms % 1000:03}"
